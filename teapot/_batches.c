/* Many SHA-256 hashes in one call: of each line in a buffer, and of a Merkle tree over digests.
 *
 * A call of hashlib takes longer than to hash the few dozen bytes of a tree's node, and holds the
 * interpreter's lock meanwhile. Here OpenSSL, which hashlib uses too, computes one hash after
 * another without going back to Python. teapot/batches.py says what the functions give, and does
 * the same in Python where this file could not be compiled.
 */
#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include <Python.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#define DIGEST_BYTES 32
#define LEAF_PREFIX 0
#define NODE_PREFIX 1

static EVP_MD *sha256;

static EVP_MD_CTX *
new_hasher(void)
{
    EVP_MD_CTX *hasher = EVP_MD_CTX_new();

    if (hasher != NULL && !EVP_DigestInit_ex(hasher, sha256, NULL)) {
        EVP_MD_CTX_free(hasher);
        return NULL;
    }
    return hasher;
}

/* Write the digest of some bytes; return whether OpenSSL could. */
static int
hash(EVP_MD_CTX *hasher, const unsigned char *data, size_t size, unsigned char *digest)
{
    return EVP_DigestInit_ex(hasher, NULL, NULL) && EVP_DigestUpdate(hasher, data, size)
        && EVP_DigestFinal_ex(hasher, digest, NULL);
}

static Py_ssize_t
count_lines(const unsigned char *at, const unsigned char *stop)
{
    Py_ssize_t lines = 0;
    const unsigned char *end;

    for (; at < stop && (end = memchr(at, '\n', stop - at)) != NULL; at = end + 1)
        lines++;
    return lines;
}

/* Write the digests of as many lines as were counted between `at` and `stop`. */
static int
hash_counted_lines(const unsigned char *at, const unsigned char *stop, Py_ssize_t lines,
                   unsigned char *digests)
{
    EVP_MD_CTX *hasher = new_hasher();
    int done = hasher != NULL;

    for (; done && lines > 0; lines--, digests += DIGEST_BYTES) {
        const unsigned char *end = memchr(at, '\n', stop - at);

        if (end == NULL) { /* another thread wrote to the buffer since its lines were counted */
            done = 0;
            break;
        }
        done = hash(hasher, at, end - at, digests);
        at = end + 1;
    }
    EVP_MD_CTX_free(hasher);
    return done;
}

static PyObject *
count_line_ends(PyObject *module, PyObject *argument)
{
    Py_buffer view;
    Py_ssize_t lines;
    const unsigned char *start;

    if (PyObject_GetBuffer(argument, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    start = view.buf;
    Py_BEGIN_ALLOW_THREADS
    lines = count_lines(start, start + view.len);
    Py_END_ALLOW_THREADS
    PyBuffer_Release(&view);
    return PyLong_FromSsize_t(lines);
}

static PyObject *
hash_lines(PyObject *module, PyObject *argument)
{
    Py_buffer view;
    PyObject *digests;
    Py_ssize_t lines = 0;
    const unsigned char *start;
    int done = 0;

    if (PyObject_GetBuffer(argument, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    start = view.buf;
    Py_BEGIN_ALLOW_THREADS
    lines = count_lines(start, start + view.len);
    Py_END_ALLOW_THREADS
    digests = PyBytes_FromStringAndSize(NULL, lines * DIGEST_BYTES);
    if (digests != NULL) {
        unsigned char *room = (unsigned char *)PyBytes_AsString(digests);

        Py_BEGIN_ALLOW_THREADS
        done = hash_counted_lines(start, start + view.len, lines, room);
        Py_END_ALLOW_THREADS
        if (!done) {
            Py_DECREF(digests);
            digests = NULL;
            PyErr_SetString(PyExc_RuntimeError, "OpenSSL could not hash the lines");
        }
    }
    PyBuffer_Release(&view);
    return digests;
}

/* Write the hashes of all leaves to `nodes`, then each level over the one before, up to one node. */
static int
fold(const unsigned char *digests, Py_ssize_t leaves, unsigned char *nodes)
{
    EVP_MD_CTX *hasher = new_hasher();
    unsigned char input[1 + 2 * DIGEST_BYTES];
    int done = hasher != NULL;
    Py_ssize_t place;

    input[0] = LEAF_PREFIX;
    for (place = 0; done && place < leaves; place++) {
        memcpy(input + 1, digests + place * DIGEST_BYTES, DIGEST_BYTES);
        done = hash(hasher, input, 1 + DIGEST_BYTES, nodes + place * DIGEST_BYTES);
    }
    input[0] = NODE_PREFIX;
    for (leaves /= 2; done && leaves > 0; leaves /= 2) {
        for (place = 0; done && place < leaves; place++) {
            memcpy(input + 1, nodes + 2 * place * DIGEST_BYTES, 2 * DIGEST_BYTES);
            done = hash(hasher, input, sizeof input, nodes + place * DIGEST_BYTES);
        }
    }
    EVP_MD_CTX_free(hasher);
    return done;
}

static PyObject *
subtree_root(PyObject *module, PyObject *argument)
{
    Py_buffer view;
    PyObject *root = NULL;
    unsigned char *nodes;
    Py_ssize_t leaves;
    int done = 0;

    if (PyObject_GetBuffer(argument, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    leaves = view.len / DIGEST_BYTES;
    if (leaves == 0 || view.len % DIGEST_BYTES || (leaves & (leaves - 1))) {
        PyErr_SetString(PyExc_ValueError, "expected 2, 4, 8, … digests of 32 bytes, or one");
    } else if ((nodes = malloc(view.len)) == NULL) {
        PyErr_NoMemory();
    } else {
        Py_BEGIN_ALLOW_THREADS
        done = fold(view.buf, leaves, nodes);
        Py_END_ALLOW_THREADS
        if (done)
            root = PyBytes_FromStringAndSize((const char *)nodes, DIGEST_BYTES);
        else
            PyErr_SetString(PyExc_RuntimeError, "OpenSSL could not hash the tree");
        free(nodes);
    }
    PyBuffer_Release(&view);
    return root;
}

/* Write the digests of rows of `width` bytes, each behind the same prefix. */
static int
hash_all_rows(const unsigned char *prefix, size_t size, const unsigned char *row, size_t width,
              Py_ssize_t rows, unsigned char *digests)
{
    EVP_MD_CTX *begun = new_hasher(), *hasher = new_hasher();
    int done = begun != NULL && hasher != NULL && EVP_DigestUpdate(begun, prefix, size);

    for (; done && rows > 0; rows--, row += width, digests += DIGEST_BYTES)
        done = EVP_MD_CTX_copy_ex(hasher, begun) && EVP_DigestUpdate(hasher, row, width)
            && EVP_DigestFinal_ex(hasher, digests, NULL);
    EVP_MD_CTX_free(begun);
    EVP_MD_CTX_free(hasher);
    return done;
}

static PyObject *
hash_rows(PyObject *module, PyObject *arguments)
{
    Py_buffer prefix, view;
    PyObject *digests = NULL;
    Py_ssize_t width, rows;
    int done;

    if (!PyArg_ParseTuple(arguments, "y*y*n", &prefix, &view, &width))
        return NULL;
    if (width <= 0 || view.len % width) {
        PyErr_SetString(PyExc_ValueError, "expected whole rows of the given width");
    } else if ((digests = PyBytes_FromStringAndSize(NULL, view.len / width * DIGEST_BYTES))) {
        unsigned char *room = (unsigned char *)PyBytes_AsString(digests);

        rows = view.len / width;
        Py_BEGIN_ALLOW_THREADS
        done = hash_all_rows(prefix.buf, prefix.len, view.buf, width, rows, room);
        Py_END_ALLOW_THREADS
        if (!done) {
            Py_CLEAR(digests);
            PyErr_SetString(PyExc_RuntimeError, "OpenSSL could not hash the rows");
        }
    }
    PyBuffer_Release(&prefix);
    PyBuffer_Release(&view);
    return digests;
}

static PyMethodDef methods[] = {
    {"count_lines", count_line_ends, METH_O, NULL},
    {"hash_rows", hash_rows, METH_VARARGS, NULL},
    {"hash_lines", hash_lines, METH_O, NULL},
    {"subtree_root", subtree_root, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_batches", NULL, -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__batches(void)
{
    if (sha256 == NULL)
        sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (sha256 == NULL) {
        PyErr_SetString(PyExc_ImportError, "OpenSSL has no SHA-256 here");
        return NULL;
    }
    return PyModule_Create(&definition);
}
