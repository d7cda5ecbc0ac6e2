#define _GNU_SOURCE
#include "meter.h"

#include <errno.h>
#include <stddef.h>

static int is_counting;
static uint64_t allocations;

// In C and in a target of its own, so that no optimiser makes a second copy under another name.
__attribute__((noinline)) void fs_budget_counted(void (*work)(void *context), void *context) {
  is_counting = 1;
  work(context);
  // Behind the call, which therefore is no jump: valgrind would take that for the return.
  is_counting = 0;
}

uint64_t fs_budget_allocations(void) { return allocations; }

// The program's definitions take the place of glibc's, also for the libraries that it loads. Sanitizers have their own.
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size) {
  allocations += is_counting;
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  allocations += is_counting;
  return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size) {
  allocations += is_counting;
  return __libc_realloc(block, size);
}

void *memalign(size_t alignment, size_t size) {
  allocations += is_counting;
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **place, size_t alignment, size_t size) {
  void *block = memalign(alignment, size);
  if (block == NULL) return ENOMEM;
  *place = block;
  return 0;
}

#endif
