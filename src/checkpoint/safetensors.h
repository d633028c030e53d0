// checkpoint/safetensors.h: the safetensors container.
//
//   u64 little-endian N | N bytes of JSON {name: {dtype, shape, data_offsets: [begin, end]}, …} |
//   data
//
// Offsets count from the end of the header. Only the header is read; data stays in the file.
// Source: the format description in github.com/huggingface/safetensors.
#ifndef VKLM_CHECKPOINT_SAFETENSORS_H
#define VKLM_CHECKPOINT_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/array.h"

typedef enum {
    VKLM_DTYPE_F32 = 0,
    VKLM_DTYPE_F16,
    VKLM_DTYPE_BF16,
    VKLM_DTYPE_I32,
    VKLM_DTYPE_U8,
    VKLM_DTYPE_COUNT,
} vklm_dtype;

const char *vklm_dtype_name(vklm_dtype dtype); // as in the file: "F32", "BF16"
size_t vklm_dtype_bytes(vklm_dtype dtype);

enum { VKLM_TENSOR_MAX_DIMS = 4 };

typedef struct {
    char *name;
    vklm_dtype dtype;
    uint32_t n_dims;
    uint64_t shape[VKLM_TENSOR_MAX_DIMS]; // slowest first
    uint64_t offset, bytes;               // in the file
} vklm_tensor_info;

// A line of the header's "__metadata__".
typedef struct {
    char *key, *value;
} vklm_safetensors_note;

// Sorted by name.
typedef struct {
    vklm_tensor_info *tensors;
    size_t n_tensors;
    vklm_safetensors_note *notes; // as they stand in the file
    size_t n_notes;
} vklm_safetensors;

// Reads the header of a file of `size` bytes that begins with data[0..size). Checked: the header
// lies inside the file; every dtype, shape and range is valid, agrees with the others and lies
// inside the file; no two ranges overlap; no name stands twice. `name` is for the messages.
vklm_status vklm_safetensors_parse(const unsigned char *data, uint64_t size, const char *name,
                                   vklm_safetensors *out_header);
void vklm_safetensors_finish(vklm_safetensors *header);

// NULL when there is no such tensor.
const vklm_tensor_info *vklm_safetensors_find(const vklm_safetensors *header, const char *name);

// The value of a note; NULL when there is none.
const char *vklm_safetensors_note_of(const vklm_safetensors *header, const char *key);

// Appends the 8 bytes and the JSON that come before the data of these tensors, stored in this order
// one after the other (`offset` is ignored), padded so that the data begins at a multiple of 64.
void vklm_safetensors_print_header(const vklm_tensor_info *tensors, size_t n, vklm_string *out);

// The same with notes in the place of {"format": "pt"}.
void vklm_safetensors_print_header_notes(const vklm_tensor_info *tensors, size_t n,
                                         const vklm_safetensors_note *notes, size_t n_notes,
                                         vklm_string *out);

#endif
