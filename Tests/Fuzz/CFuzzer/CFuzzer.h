// What libFuzzer and the address sanitizer give to a program that is linked with them, and a file in memory.

#include <stddef.h>
#include <stdint.h>

/// Runs libFuzzer's command line. Inputs go to `callback`, which returns 0.
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*callback)(const uint8_t *data, size_t size));

/// Calls `taken` after each allocation and `freed` before each release.
int __sanitizer_install_malloc_and_free_hooks(
    void (*taken)(const volatile void *block, size_t size), void (*freed)(const volatile void *block));

size_t __sanitizer_get_allocated_size(const volatile void *block);

/// Linux's, which the C library shows only to those who ask for GNU's extensions.
int memfd_create(const char *name, unsigned flags);
