#define _GNU_SOURCE
#include "clinux.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <malloc.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

const int fs_sock_stream = SOCK_STREAM;
const int fs_sock_cloexec = SOCK_CLOEXEC;

static uint32_t table[8][256];

// What a checksum becomes behind LANE zero bytes, by each of its four bytes: the checksum is linear, so that of two pieces
// one behind the other is the first one's, so moved on, and the second one's, XORed.
#define LANE 1024
static uint32_t moved[4][256];
static uint32_t portable(uint32_t c, const uint8_t *p, size_t n);

__attribute__((constructor)) static void make_table(void) {
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ 0x82F63B78u : c >> 1;
    table[0][i] = c;
  }
  for (uint32_t i = 0; i < 256; i++)
    for (int t = 1; t < 8; t++) table[t][i] = (table[t - 1][i] >> 8) ^ table[0][table[t - 1][i] & 0xFF];
  static const uint8_t zeros[LANE];
  for (uint32_t i = 0; i < 256; i++)
    for (int b = 0; b < 4; b++) moved[b][i] = portable(i << 8 * b, zeros, LANE);
}

__attribute__((unused)) static uint32_t move_on(uint32_t c) {
  return moved[0][c & 0xFF] ^ moved[1][c >> 8 & 0xFF] ^ moved[2][c >> 16 & 0xFF] ^ moved[3][c >> 24];
}

static uint32_t portable(uint32_t c, const uint8_t *p, size_t n) {
  while (n >= 8) {
    uint64_t w;
    memcpy(&w, p, 8);
    w ^= c;
    c = table[7][w & 0xFF] ^ table[6][(w >> 8) & 0xFF] ^ table[5][(w >> 16) & 0xFF] ^ table[4][(w >> 24) & 0xFF] ^
        table[3][(w >> 32) & 0xFF] ^ table[2][(w >> 40) & 0xFF] ^ table[1][(w >> 48) & 0xFF] ^ table[0][w >> 56];
    p += 8;
    n -= 8;
  }
  while (n--) c = (c >> 8) ^ table[0][(c ^ *p++) & 0xFF];
  return c;
}

#if defined(__x86_64__)
#include <nmmintrin.h>
__attribute__((target("sse4.2"))) static uint32_t hardware(uint32_t c, const uint8_t *p, size_t n) {
  uint64_t c64 = c;
  // The instruction takes three cycles and one may begin in each: three lanes at a time.
  while (n >= 3 * LANE) {
    uint64_t second = 0, third = 0;
    for (const uint8_t *end = p + LANE; p < end; p += 8) {
      uint64_t w[3];
      memcpy(&w[0], p, 8);
      memcpy(&w[1], p + LANE, 8);
      memcpy(&w[2], p + 2 * LANE, 8);
      c64 = _mm_crc32_u64(c64, w[0]);
      second = _mm_crc32_u64(second, w[1]);
      third = _mm_crc32_u64(third, w[2]);
    }
    c64 = move_on(move_on((uint32_t)c64) ^ (uint32_t)second) ^ (uint32_t)third;
    p += 2 * LANE;
    n -= 3 * LANE;
  }
  while (n >= 8) {
    uint64_t w;
    memcpy(&w, p, 8);
    c64 = _mm_crc32_u64(c64, w);
    p += 8;
    n -= 8;
  }
  c = (uint32_t)c64;
  while (n--) c = _mm_crc32_u8(c, *p++);
  return c;
}
static int has_hardware(void) { return __builtin_cpu_supports("sse4.2"); }
#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32)
#include <arm_acle.h>
static uint32_t hardware(uint32_t c, const uint8_t *p, size_t n) {
  while (n >= 8) {
    uint64_t w;
    memcpy(&w, p, 8);
    c = __crc32cd(c, w);
    p += 8;
    n -= 8;
  }
  while (n--) c = __crc32cb(c, *p++);
  return c;
}
static int has_hardware(void) { return 1; }
#else
static uint32_t hardware(uint32_t c, const uint8_t *p, size_t n) { return portable(c, p, n); }
static int has_hardware(void) { return 0; }
#endif

uint32_t fs_crc32c(uint32_t crc, const void *bytes, size_t count) {
  uint32_t c = ~crc;
  return ~(has_hardware() ? hardware(c, bytes, count) : portable(c, bytes, count));
}

int fs_open(const char *path, int flags, unsigned mode) { return open(path, flags, (mode_t)mode); }

int fs_lock_whole(int fd) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  return fcntl(fd, F_OFD_SETLK, &lock);
}

int fs_sector_size(int fd) {
  int size = 0;
  return ioctl(fd, BLKSSZGET, &size) < 0 ? -1 : size;
}

// The head of struct statx with the fields of Linux 6.1, which the C library's header may not have yet.
#define FS_STATX_DIOALIGN 0x2000u
int fs_direct_alignment(int fd, unsigned *memory, unsigned *offset) {
  uint64_t buffer[32];  // struct statx is 256 bytes
  memset(buffer, 0, sizeof buffer);
  if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, FS_STATX_DIOALIGN, buffer) < 0) return -1;
  const unsigned char *raw = (const unsigned char *)buffer;
  uint32_t mask;
  memcpy(&mask, raw, 4);
  *memory = *offset = 0;
  if (mask & FS_STATX_DIOALIGN) {
    memcpy(memory, raw + 152, 4);
    memcpy(offset, raw + 156, 4);
  }
  return 0;
}

int64_t fs_file_system_magic(const char *path) {
  struct statfs system;
  return statfs(path, &system) < 0 ? -1 : (int64_t)system.f_type;
}

int fs_signalfd(const void *mask) { return signalfd(-1, (const sigset_t *)mask, SFD_CLOEXEC); }
int fs_processor(void) { return sched_getcpu(); }
int fs_eventfd(void) { return eventfd(0, EFD_CLOEXEC); }

void fs_malloc_settings(int mapped_from, int trimmed_from) {
  mallopt(M_MMAP_THRESHOLD, mapped_from);
  mallopt(M_TRIM_THRESHOLD, trimmed_from);
  mallopt(M_ARENA_MAX, 1);
}

void fs_malloc_usage(size_t *bytes, size_t *free_bytes) {
  struct mallinfo2 info = mallinfo2();
  *bytes = info.arena + info.hblkhd;
  *free_bytes = info.fordblks;
}
