// The C shim: what Swift cannot import (macros, intrinsics, variadics). No logic of ours lives here.
#pragma once
#include <stddef.h>
#include <stdint.h>

/// CRC-32C (Castagnoli), reflected, initial and final XOR applied; `crc` is the value of the bytes before (0 at first).
uint32_t fs_crc32c(uint32_t crc, const void *bytes, size_t count);

/// Asks the processor for the cache line at `address`, which will be read soon. Any address will do: it never faults.
static inline void fs_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }

/// `yes` or `no`, without a branch: for conditions that nobody foresees.
static inline size_t fs_select(int condition, size_t yes, size_t no) {
  size_t chosen = no;
  if (__builtin_unpredictable(condition)) chosen = yes;
  return chosen;
}

/// SOCK_STREAM and SOCK_CLOEXEC. They are members of a named enum of <sys/socket.h>, which liburing's module includes too: which
/// of the two modules Swift then finds them in depends on the order of its work, and a file that imports Glibc alone may not.
extern const int fs_sock_stream;
extern const int fs_sock_cloexec;

// ---- variadic system calls and macros, for the target Ring ----

/// open(2) with its third argument; -1 and errno on failure.
int fs_open(const char *path, int flags, unsigned mode);

/// An open file description lock on the whole file, exclusive, not waiting: 0, or -1 and errno (EAGAIN: held).
int fs_lock_whole(int fd);

/// The logical sector size of a block device (BLKSSZGET), or -1 and errno.
int fs_sector_size(int fd);

/// The alignment that O_DIRECT asks for on this file: 0 when the kernel does not tell, -1 and errno on failure.
int fs_direct_alignment(int fd, unsigned *memory, unsigned *offset);

/// The magic number of the file system that holds `path` (linux/magic.h), or -1 and errno.
int64_t fs_file_system_magic(const char *path);

/// signalfd(2) and eventfd(2), close-on-exec; `mask` is a sigset_t. A descriptor, or -1 and errno.
int fs_signalfd(const void *mask);
int fs_eventfd(void);

/// The processor that runs the calling thread; -1 when it cannot be told.
int fs_processor(void);

// ---- <malloc.h>, which Glibc's module leaves out ----

/// Fixes from which size on blocks are mappings of their own, and how much may stay free at the heap's end; one arena.
void fs_malloc_settings(int mapped_from, int trimmed_from);

/// Bytes that the allocator has from the system, and of those the ones that nobody uses.
void fs_malloc_usage(size_t *bytes, size_t *free_bytes);
