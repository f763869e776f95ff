"""The bases that Teapot trains, and the one loop that trains them. No base is here yet."""
