/* Columns of a table as JSON, a value to a line, and digests out of their hexadecimal digits.
 *
 * A column comes as Arrow keeps it: values of one width end to end, or texts end to end with the
 * places where each begins, 32 bits a place, and one more where the last ends. Beside them may be a
 * byte for each row that tells whether there is a value: where it is 0, the line is `null`.
 * teapot/columnlines.py says what the functions give, and does the same in Python where this file
 * could not be compiled.
 */
#define PY_SSIZE_T_CLEAN
#ifndef Py_LIMITED_API
#define Py_LIMITED_API 0x030B0000
#endif
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_NUMBER 20
#define NULL_LINE "null\n"
#define NULL_LINE_BYTES 5

/* The texts of a column: row n is `data[bounds[n]:bounds[n + 1]]`. */
typedef struct {
    const unsigned char *data;
    const int32_t *bounds;
    Py_ssize_t rows;
} Texts;

/* Whether every row is there, or a byte for each that tells. */
static int
is_there(const unsigned char *there, Py_ssize_t row)
{
    return there == NULL || there[row];
}

/* Tell whether the bounds lie within so many bytes, in order. */
static int
are_bounds(const Py_buffer *bounds, Py_ssize_t size)
{
    const int32_t *place = bounds->buf;
    Py_ssize_t count = bounds->len / (Py_ssize_t)sizeof *place, at;
    int is_back = 0;

    if (bounds->len % sizeof *place || count == 0 || (uintptr_t)place % sizeof *place)
        return 0;
    for (at = 1; at < count; at++)
        is_back |= place[at] < place[at - 1];
    return !is_back && place[0] >= 0 && place[count - 1] <= size;
}

/* Take what an optional argument tells of rows; NULL where it is None. Return whether it is right. */
static int
take_there(PyObject *argument, Py_ssize_t rows, Py_buffer *view, const unsigned char **there)
{
    *there = NULL;
    view->obj = NULL;
    if (argument == Py_None)
        return 1;
    if (PyObject_GetBuffer(argument, view, PyBUF_SIMPLE) < 0)
        return 0;
    if (view->len == rows) {
        *there = view->buf;
        return 1;
    }
    PyErr_SetString(PyExc_ValueError, "expected a byte for each row");
    return 0;
}

/* Tell whether a text holds a control character, a quote or a backslash. */
static int
needs_escape(const unsigned char *text, size_t size)
{
    unsigned char found = 0;
    size_t at;

    for (at = 0; at < size; at++)
        found |= (unsigned char)((text[at] < 0x20) | (text[at] == '"') | (text[at] == '\\'));
    return found;
}

static unsigned char *
write_text(unsigned char *out, const void *text, size_t size)
{
    memcpy(out, text, size);
    return out + size;
}

static void
write_text_lines(const Texts *texts, const unsigned char *there, unsigned char *out)
{
    Py_ssize_t row;

    for (row = 0; row < texts->rows; row++) {
        int32_t start = texts->bounds[row];

        if (!is_there(there, row)) {
            out = write_text(out, NULL_LINE, NULL_LINE_BYTES);
            continue;
        }
        *out++ = '"';
        out = write_text(out, texts->data + start, texts->bounds[row + 1] - start);
        *out++ = '"';
        *out++ = '\n';
    }
}

static Py_ssize_t
size_of_text_lines(const Texts *texts, const unsigned char *there)
{
    Py_ssize_t size = 0, row;

    for (row = 0; row < texts->rows; row++)
        size += is_there(there, row) ? texts->bounds[row + 1] - texts->bounds[row] + 3
                                     : NULL_LINE_BYTES;
    return size;
}

static PyObject *
text_lines(PyObject *module, PyObject *arguments)
{
    Py_buffer data, bounds, view = {0};
    const unsigned char *there;
    PyObject *told, *lines = NULL;

    if (!PyArg_ParseTuple(arguments, "y*y*O", &data, &bounds, &told))
        return NULL;
    if (!are_bounds(&bounds, data.len)) {
        PyErr_SetString(PyExc_ValueError, "expected bounds within the data");
    } else {
        Texts texts = {data.buf, bounds.buf, bounds.len / (Py_ssize_t)sizeof(int32_t) - 1};

        if (take_there(told, texts.rows, &view, &there)) {
            if (needs_escape(texts.data + texts.bounds[0],
                             texts.bounds[texts.rows] - texts.bounds[0])) {
                lines = Py_None;
                Py_INCREF(lines);
            } else {
                lines = PyBytes_FromStringAndSize(NULL, size_of_text_lines(&texts, there));
                if (lines != NULL)
                    write_text_lines(&texts, there, (unsigned char *)PyBytes_AsString(lines));
            }
        }
        if (view.obj != NULL)
            PyBuffer_Release(&view);
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&bounds);
    return lines;
}

/* Return the size of the texts picked, or -1 where there is none at a place. */
static Py_ssize_t
size_of_picked(const Texts *texts, const int32_t *places, Py_ssize_t rows,
               const unsigned char *there)
{
    Py_ssize_t size = 0, row;

    for (row = 0; row < rows; row++) {
        if (!is_there(there, row)) {
            size += NULL_LINE_BYTES;
        } else if (places[row] < 0 || places[row] >= texts->rows) {
            return -1;
        } else {
            size += texts->bounds[places[row] + 1] - texts->bounds[places[row]];
        }
    }
    return size;
}

static void
write_picked(const Texts *texts, const int32_t *places, Py_ssize_t rows,
             const unsigned char *there, unsigned char *out)
{
    Py_ssize_t row;

    for (row = 0; row < rows; row++) {
        if (!is_there(there, row)) {
            out = write_text(out, NULL_LINE, NULL_LINE_BYTES);
        } else {
            int32_t start = texts->bounds[places[row]];

            out = write_text(out, texts->data + start, texts->bounds[places[row] + 1] - start);
        }
    }
}

static PyObject *
picked_lines(PyObject *module, PyObject *arguments)
{
    Py_buffer data, bounds, places, view = {0};
    const unsigned char *there;
    PyObject *told, *lines = NULL;

    if (!PyArg_ParseTuple(arguments, "y*y*y*O", &data, &bounds, &places, &told))
        return NULL;
    if (!are_bounds(&bounds, data.len) || places.len % sizeof(int32_t)
        || (uintptr_t)places.buf % sizeof(int32_t)) {
        PyErr_SetString(PyExc_ValueError, "expected bounds within the data, and places");
    } else {
        Texts texts = {data.buf, bounds.buf, bounds.len / (Py_ssize_t)sizeof(int32_t) - 1};
        Py_ssize_t rows = places.len / (Py_ssize_t)sizeof(int32_t), size;

        if (take_there(told, rows, &view, &there)) {
            size = size_of_picked(&texts, places.buf, rows, there);
            if (size < 0)
                PyErr_SetString(PyExc_ValueError, "there is no text at one of the places");
            else if ((lines = PyBytes_FromStringAndSize(NULL, size)) != NULL)
                write_picked(&texts, places.buf, rows, there,
                             (unsigned char *)PyBytes_AsString(lines));
        }
        if (view.obj != NULL)
            PyBuffer_Release(&view);
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&bounds);
    PyBuffer_Release(&places);
    return lines;
}

static unsigned char *
write_number(unsigned char *out, int64_t value)
{
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    unsigned char digits[LONGEST_NUMBER], *digit = digits + LONGEST_NUMBER;

    do {
        *--digit = (unsigned char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (value < 0)
        *out++ = '-';
    return write_text(out, digit, digits + LONGEST_NUMBER - digit);
}

/* Return a buffer's bytes up to `stop` as a Python object, and free it. */
static PyObject *
as_bytes(unsigned char *start, const unsigned char *stop)
{
    PyObject *made = PyBytes_FromStringAndSize((char *)start, stop - start);

    free(start);
    return made;
}

/* Tell whether a buffer holds whole numbers of 64 bits, each where a processor may read it. */
static int
are_numbers(const Py_buffer *values)
{
    if (values->len % sizeof(int64_t) == 0 && (uintptr_t)values->buf % sizeof(int64_t) == 0)
        return 1;
    PyErr_SetString(PyExc_ValueError, "expected numbers of 64 bits");
    return 0;
}

static PyObject *
number_lines(PyObject *module, PyObject *arguments)
{
    Py_buffer values, view = {0};
    const unsigned char *there;
    PyObject *told, *lines = NULL;
    Py_ssize_t rows, row;

    if (!PyArg_ParseTuple(arguments, "y*O", &values, &told))
        return NULL;
    rows = values.len / (Py_ssize_t)sizeof(int64_t);
    if (are_numbers(&values) && take_there(told, rows, &view, &there)) {
        const int64_t *value = values.buf;
        unsigned char *start = malloc((LONGEST_NUMBER + 1) * rows + 1), *out = start;

        if (start == NULL) {
            PyErr_NoMemory();
        } else {
            for (row = 0; row < rows; row++) {
                if (is_there(there, row)) {
                    out = write_number(out, value[row]);
                    *out++ = '\n';
                } else {
                    out = write_text(out, NULL_LINE, NULL_LINE_BYTES);
                }
            }
            lines = as_bytes(start, out);
        }
    }
    if (view.obj != NULL)
        PyBuffer_Release(&view);
    PyBuffer_Release(&values);
    return lines;
}

static PyObject *
number_list_lines(PyObject *module, PyObject *arguments)
{
    Py_buffer values, bounds;
    PyObject *lines = NULL;

    if (!PyArg_ParseTuple(arguments, "y*y*", &values, &bounds))
        return NULL;
    if (!are_numbers(&values)) {
    } else if (!are_bounds(&bounds, values.len / (Py_ssize_t)sizeof(int64_t))) {
        PyErr_SetString(PyExc_ValueError, "expected bounds within the values");
    } else {
        const int64_t *value = values.buf;
        const int32_t *bound = bounds.buf;
        Py_ssize_t rows = bounds.len / (Py_ssize_t)sizeof *bound - 1, row, held;
        unsigned char *start, *out;

        held = bound[rows] - bound[0];
        start = out = malloc((LONGEST_NUMBER + 1) * held + 3 * rows + 1);
        if (start == NULL) {
            PyErr_NoMemory();
        } else {
            for (row = 0; row < rows; row++) {
                int32_t at;

                *out++ = '[';
                for (at = bound[row]; at < bound[row + 1]; at++) {
                    if (at > bound[row])
                        *out++ = ',';
                    out = write_number(out, value[at]);
                }
                *out++ = ']';
                *out++ = '\n';
            }
            lines = as_bytes(start, out);
        }
    }
    PyBuffer_Release(&values);
    PyBuffer_Release(&bounds);
    return lines;
}

static unsigned char
digit_of(unsigned char character, unsigned char *is_wrong)
{
    unsigned char decimal = character - '0', letter = character - 'a';

    *is_wrong |= (decimal > 9) & (letter > 5);
    return decimal > 9 ? letter + 10 : decimal;
}

static PyObject *
unhex(PyObject *module, PyObject *argument)
{
    Py_buffer text;
    PyObject *made = NULL;
    unsigned char is_wrong = 0;

    if (PyObject_GetBuffer(argument, &text, PyBUF_SIMPLE) < 0)
        return NULL;
    if (text.len % 2) {
        is_wrong = 1;
    } else if ((made = PyBytes_FromStringAndSize(NULL, text.len / 2)) != NULL) {
        const unsigned char *digit = text.buf;
        unsigned char *out = (unsigned char *)PyBytes_AsString(made);
        Py_ssize_t place, size = text.len / 2;

        for (place = 0; place < size; place++)
            out[place] = (unsigned char)(digit_of(digit[2 * place], &is_wrong) << 4
                                         | digit_of(digit[2 * place + 1], &is_wrong));
    }
    PyBuffer_Release(&text);
    if (is_wrong) {
        Py_CLEAR(made);
        PyErr_SetString(PyExc_ValueError, "expected pairs of lower-case hexadecimal digits");
    }
    return made;
}

static PyMethodDef methods[] = {
    {"number_lines", number_lines, METH_VARARGS, NULL},
    {"number_list_lines", number_list_lines, METH_VARARGS, NULL},
    {"picked_lines", picked_lines, METH_VARARGS, NULL},
    {"text_lines", text_lines, METH_VARARGS, NULL},
    {"unhex", unhex, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_columnlines", NULL, -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__columnlines(void)
{
    return PyModule_Create(&definition);
}
