// text/jinja_value.h: the values of a chat template, with Python's behaviour, and where they live.
//
// A template comes with a model, from strangers. Everything that it makes us allocate lies on one
// heap of bounded size that is dropped as a whole, and everything that it makes us do is counted.
// Failure is sticky: the first vklm_jinja_fail() stays in the machine, values made afterwards are
// undefined, and every loop ends at the next vklm_jinja_spend().
#ifndef VKLM_TEXT_JINJA_VALUE_H
#define VKLM_TEXT_JINJA_VALUE_H

#include <stdint.h>

#include "base/array.h"

enum {
    VKLM_JINJA_MAX_HEAP = 256 << 20, // bytes
    VKLM_JINJA_MAX_TEXT = 64 << 20,  // bytes of one string, or of what is rendered
    VKLM_JINJA_MAX_STEPS =
        50000000, // roughly: nodes evaluated, plus list items and 16-byte blocks touched
    VKLM_JINJA_MAX_DEPTH = 200,    // of nested syntax and of lists in lists
    VKLM_JINJA_MAX_RANGE = 100000, // as in jinja2's sandbox
};

// UTF-8, not NUL-terminated, never changed.
typedef struct {
    const char *data;
    size_t len;
} vklm_jinja_text;

#define VKLM_JINJA_TEXT(literal) ((vklm_jinja_text){literal, sizeof(literal) - 1})

typedef enum {
    VKLM_JINJA_ABSENT = 0, // an argument that was not given
    VKLM_JINJA_UNDEFINED,
    VKLM_JINJA_NONE,
    VKLM_JINJA_BOOL,
    VKLM_JINJA_INT,
    VKLM_JINJA_FLOAT,
    VKLM_JINJA_STRING,
    VKLM_JINJA_LIST,
    VKLM_JINJA_DICT,
    VKLM_JINJA_NAMESPACE,
    VKLM_JINJA_LOOP,     // the variable `loop`
    VKLM_JINJA_FUNCTION, // a global function or a bound method
} vklm_jinja_kind;

typedef struct vklm_jinja_value vklm_jinja_value;
typedef struct vklm_jinja_list vklm_jinja_list;
typedef struct vklm_jinja_dict vklm_jinja_dict;
typedef struct vklm_jinja_scope vklm_jinja_scope;
typedef struct vklm_jinja_loop vklm_jinja_loop;
typedef struct vklm_jinja_function vklm_jinja_function;

struct vklm_jinja_value {
    vklm_jinja_kind kind;
    union {
        bool truth;
        int64_t integer;
        double real;
        vklm_jinja_text text;
        vklm_jinja_list *list;
        const vklm_jinja_dict *dict;
        vklm_jinja_scope *names; // of a namespace
        vklm_jinja_loop *loop;
        struct {
            const vklm_jinja_function *function;
            const vklm_jinja_value *self; // of a bound method, else NULL
        } bound;
    };
};

typedef enum {
    VKLM_JINJA_PLAIN_LIST,
    VKLM_JINJA_TUPLE,
    VKLM_JINJA_VIEW,     // of a dict, or a range: has a length, but we do not index or compare it
    VKLM_JINJA_ITERATOR, // what a filter yields: no length, and to be gone through once
} vklm_jinja_list_type;

// Lists and dicts do not change once they are visible to a template.
struct vklm_jinja_list {
    vklm_jinja_value *items; // [n]
    size_t n;
    unsigned depth; // 1 + that of the deepest item
    vklm_jinja_list_type type;
    bool used; // of an iterator: someone has gone through it
};

struct vklm_jinja_dict {
    vklm_jinja_value *keys, *values; // [n], in order of insertion
    size_t n, capacity;
    unsigned depth;
};

// Variables; those of a namespace are a scope without a parent.
typedef struct vklm_jinja_variable {
    vklm_jinja_text name;
    vklm_jinja_value value;
    struct vklm_jinja_variable *next;
} vklm_jinja_variable;

struct vklm_jinja_scope {
    vklm_jinja_scope *parent;
    vklm_jinja_variable *first;
};

typedef struct vklm_jinja_block vklm_jinja_block; // of the heap

// Parsing or rendering, under way.
typedef struct {
    vklm_jinja_block *heap;
    size_t heap_bytes;
    uint64_t steps;
    unsigned line;         // of the template, for messages
    vklm_status status;    // of the first failure
    vklm_string *out;      // where text is rendered to
    vklm_jinja_value body; // of the filtered set block that just ended
    vklm_jinja_scope *scope;
} vklm_jinja_machine;

void vklm_jinja_machine_finish(vklm_jinja_machine *m);

// Keeps the first failure: its sentence gets the line in front.
void vklm_jinja_fail(vklm_jinja_machine *m, vklm_status status, const char *format, ...)
    VKLM_PRINTF(3, 4);

// What jinja2 itself would refuse: a mistake in the template, or one that the messages led it into.
#define VKLM_JINJA_WRONG VKLM_BAD_FILE

// Counts work. False once anything failed: the loop that asked must end.
bool vklm_jinja_spend(vklm_jinja_machine *m, size_t steps);

// Zeroed memory, or NULL after a failure.
void *vklm_jinja_alloc(vklm_jinja_machine *m, size_t count, size_t size);

// Appends to a string of bounded length.
void vklm_jinja_append(vklm_jinja_machine *m, vklm_string *s, const char *data, size_t len);

static inline vklm_jinja_value vklm_jinja_undefined(void)
{
    return (vklm_jinja_value){.kind = VKLM_JINJA_UNDEFINED};
}

static inline vklm_jinja_value vklm_jinja_none(void)
{
    return (vklm_jinja_value){.kind = VKLM_JINJA_NONE};
}

static inline vklm_jinja_value vklm_jinja_bool(bool truth)
{
    return (vklm_jinja_value){.kind = VKLM_JINJA_BOOL, .truth = truth};
}

static inline vklm_jinja_value vklm_jinja_int(int64_t integer)
{
    return (vklm_jinja_value){.kind = VKLM_JINJA_INT, .integer = integer};
}

static inline vklm_jinja_value vklm_jinja_float(double real)
{
    return (vklm_jinja_value){.kind = VKLM_JINJA_FLOAT, .real = real};
}

static inline vklm_jinja_value vklm_jinja_string(vklm_jinja_text text)
{
    return (vklm_jinja_value){.kind = VKLM_JINJA_STRING, .text = text};
}

// A string value with a copy of what was built in `s`, which is finished.
vklm_jinja_value vklm_jinja_take(vklm_jinja_machine *m, vklm_string *s);

// A list whose n items the caller fills in, then closes; NULL after a failure.
vklm_jinja_list *vklm_jinja_list_new(vklm_jinja_machine *m, size_t n, vklm_jinja_list_type type);
vklm_jinja_value vklm_jinja_list_close(vklm_jinja_machine *m, vklm_jinja_list *list);

// A dict with room for n pairs. `put` replaces the value of an equal key; keys must be hashable.
vklm_jinja_dict *vklm_jinja_dict_new(vklm_jinja_machine *m, size_t n);
void vklm_jinja_dict_put(vklm_jinja_machine *m, vklm_jinja_dict *dict, vklm_jinja_value key,
                         vklm_jinja_value value);
vklm_jinja_value vklm_jinja_dict_close(vklm_jinja_machine *m, vklm_jinja_dict *dict);
const vklm_jinja_value *vklm_jinja_dict_find(vklm_jinja_machine *m, const vklm_jinja_dict *dict,
                                             const vklm_jinja_value *key);

// The variable in this scope or, with `outer`, in those around it; NULL when there is none.
vklm_jinja_value *vklm_jinja_scope_find(vklm_jinja_machine *m, vklm_jinja_scope *scope,
                                        vklm_jinja_text name, bool outer);
void vklm_jinja_scope_set(vklm_jinja_machine *m, vklm_jinja_scope *scope, vklm_jinja_text name,
                          vklm_jinja_value value);

bool vklm_jinja_is(vklm_jinja_text text, const char *literal);
bool vklm_jinja_same(vklm_jinja_text a, vklm_jinja_text b);
const char *vklm_jinja_kind_name(const vklm_jinja_value *value); // as in "a string"

bool vklm_jinja_truth(const vklm_jinja_value *value);

// a == b. Numbers and booleans are equal by value, lists and dicts by content.
bool vklm_jinja_equal(vklm_jinja_machine *m, const vklm_jinja_value *a, const vklm_jinja_value *b);

// Less than 0, 0 or more, for numbers or for strings; anything else fails.
int vklm_jinja_compare(vklm_jinja_machine *m, const vklm_jinja_value *a, const vklm_jinja_value *b);

// BOOL, INT or FLOAT as a float; false for any other kind.
bool vklm_jinja_to_real(const vklm_jinja_value *value, double *out);
bool vklm_jinja_to_integer(const vklm_jinja_value *value, int64_t *out); // BOOL and INT only

// str(value). The text of a number lies on the heap.
vklm_jinja_text vklm_jinja_to_text(vklm_jinja_machine *m, const vklm_jinja_value *value);

// The items that `for` goes through: of a list, the characters of a string, the keys of a dict,
// nothing of undefined. NULL after a failure, also for anything else.
const vklm_jinja_list *vklm_jinja_iterate(vklm_jinja_machine *m, const vklm_jinja_value *value);

#endif
