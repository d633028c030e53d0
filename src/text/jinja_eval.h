// text/jinja_eval.h: what the parts of the template interpreter give each other. Everything may
// fail into the machine and then returns undefined.
#ifndef VKLM_TEXT_JINJA_EVAL_H
#define VKLM_TEXT_JINJA_EVAL_H

#include "text/jinja_parser.h"

vklm_jinja_value vklm_jinja_eval(vklm_jinja_machine *m, const vklm_jinja_node *node);

// Renders a list of statements to m->out.
void vklm_jinja_run(vklm_jinja_machine *m, const vklm_jinja_node *first);

// Assigns to what vklm_jinja_parse_target parsed, in the innermost scope.
void vklm_jinja_assign(vklm_jinja_machine *m, const vklm_jinja_node *target,
                       vklm_jinja_value value);

// A scope of its own inside the current one; its end.
void vklm_jinja_scope_enter(vklm_jinja_machine *m);
void vklm_jinja_scope_leave(vklm_jinja_machine *m, vklm_jinja_scope *outer);

// --- jinja_loop.c ---

// A `for` that is under way. Items are fetched, and its filter asked, one at a time, as late as in
// jinja2: a body may change what the filter looks at.
struct vklm_jinja_loop {
    const vklm_jinja_list *items;
    size_t next;                   // of items
    const vklm_jinja_node *target; // assigned before the filter is asked
    const vklm_jinja_node *filter; // NULL: every item
    vklm_jinja_scope *scope;       // around the loop
    vklm_jinja_value before, current, after;
    bool has_after; // `after` was fetched already …
    bool ended;     // … or there is none
    int64_t index0;
};

// Goes to the next item; false at the end.
bool vklm_jinja_loop_step(vklm_jinja_machine *m, vklm_jinja_loop *loop);
vklm_jinja_value vklm_jinja_loop_attribute(vklm_jinja_machine *m, vklm_jinja_loop *loop,
                                           vklm_jinja_text name);

// --- jinja_operators.c ---

vklm_jinja_value vklm_jinja_binary(vklm_jinja_machine *m, vklm_jinja_text name,
                                   const vklm_jinja_value *a, const vklm_jinja_value *b);
bool vklm_jinja_contains(vklm_jinja_machine *m, const vklm_jinja_value *container,
                         const vklm_jinja_value *item);
bool vklm_jinja_test_order(vklm_jinja_machine *m, vklm_jinja_text name, const vklm_jinja_value *a,
                           const vklm_jinja_value *b); // == != < <= > >= in "not in"
vklm_jinja_value vklm_jinja_negate(vklm_jinja_machine *m, const vklm_jinja_value *value);

// --- jinja_access.c ---

// object.name: a method first, then an item. object[key]: an item first. What is not there is
// undefined.
vklm_jinja_value vklm_jinja_attribute(vklm_jinja_machine *m, const vklm_jinja_value *object,
                                      vklm_jinja_text name);
vklm_jinja_value vklm_jinja_item(vklm_jinja_machine *m, const vklm_jinja_value *object,
                                 const vklm_jinja_value *key);

// object[start:stop:step]; none where left out.
vklm_jinja_value vklm_jinja_slice(vklm_jinja_machine *m, const vklm_jinja_value *object,
                                  const vklm_jinja_value parts[3]);

// --- Functions, methods, filters and tests: rows of tables ---

typedef struct {
    vklm_jinja_text name; // empty: by position
    vklm_jinja_value value;
} vklm_jinja_argument;

typedef struct {
    vklm_jinja_argument *items;
    size_t n;
} vklm_jinja_arguments;

enum { VKLM_JINJA_MAX_PARAMETERS = 4 };

// `self` is a method's object, or the input of a filter or test; NULL for a function. `args` are
// the arguments in the order of `parameters`, VKLM_JINJA_ABSENT where not given.
typedef vklm_jinja_value (*vklm_jinja_code)(vklm_jinja_machine *m, const vklm_jinja_value *self,
                                            const vklm_jinja_value *args,
                                            const vklm_jinja_arguments *all);

struct vklm_jinja_function {
    const char *name;
    const char
        *parameters; // names with spaces between; the first n_required must be given. NULL: any
    unsigned n_required;
    vklm_jinja_code code;
};

vklm_jinja_value vklm_jinja_call(vklm_jinja_machine *m, const vklm_jinja_function *function,
                                 const vklm_jinja_value *self, const vklm_jinja_arguments *args);

// NULL when there is none of that name.
const vklm_jinja_function *vklm_jinja_find_global(vklm_jinja_text name);
const vklm_jinja_function *vklm_jinja_find_method(vklm_jinja_kind kind, vklm_jinja_text name);
const vklm_jinja_function *vklm_jinja_find_filter(vklm_jinja_text name);
const vklm_jinja_function *vklm_jinja_find_test(vklm_jinja_text name);
const vklm_jinja_function *vklm_jinja_find(const vklm_jinja_function *table, size_t n,
                                           vklm_jinja_text name);

// json.dumps as transformers' tojson filter calls it. indent -1: on one line.
void vklm_jinja_print_json(vklm_jinja_machine *m, vklm_string *out, const vklm_jinja_value *value,
                           int64_t indent, bool ascii);

#endif
