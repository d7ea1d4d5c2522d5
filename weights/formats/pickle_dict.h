/* SPDX-License-Identifier: MIT */
/* pickle_dict.h - from the objects of a pickle to the entries of a state dict. Private. */
#ifndef QZOO_WEIGHTS_FORMATS_PICKLE_DICT_H
#define QZOO_WEIGHTS_FORMATS_PICKLE_DICT_H

#include "weights/formats/pickle.h"
#include "weights/state_dict.h"

/* Where the bytes of storages are: differs between the containers. */
typedef struct qzi_storage_source {
    qz_state_dict *dict;
    bool big_endian;
    /* The storage's bytes, all storage->numel elements of them; `key` is the tensor's, for
     * messages. */
    qz_status (*find)(const struct qzi_storage_source *source, qzi_pickle_text key,
                      const qzi_pickle_storage *storage, const uint8_t **data, bool *in_file);
} qzi_storage_source;

/* "the storage of 'key' what; the file is damaged" */
qz_status qzi_storage_damaged(const qzi_storage_source *source, qzi_pickle_text key,
                              const char *what);

/*
 * Adds the tensors of a state dict, of a checkpoint around one (pickle_find.h), or of a module: its
 * own parameters and buffers, and those of the modules in it, by the names that state_dict() has
 * them. Values of a state dict that are no tensors are noted (qzi_dict_foreign).
 */
qz_status qzi_pickle_to_dict(const qzi_storage_source *source, qzi_pickle_object *root);

#endif
