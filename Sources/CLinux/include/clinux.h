#ifndef CLINUX_H
#define CLINUX_H
/* Opaque wrappers only: a header here that pulled in what SwiftGlibc already owns would not compile under Swift's module map. */
#include <stdint.h>

int clinux_epoll_create(void);
int clinux_eventfd(void);
/* op: 1 add, 2 delete, 3 modify. Returns 0, or -1 with errno set. */
int clinux_epoll_control(int epoll, int op, int descriptor, uint32_t events);
/* Fills descriptors and events (at most 64); returns their count, or -1 with errno set. timeout_ms -1 waits without end. */
int clinux_epoll_wait(int epoll, int *descriptors, uint32_t *events, int max, int timeout_ms);
/* Names the calling thread (15 bytes at most). */
void clinux_set_thread_name(const char *name);
/* Of the calling thread alone (setpriority(2): on Linux threads differ); 0 is usual, 19 the last to run. Raising it needs no right.
   Returns 0, or -1 with errno set. */
int clinux_set_thread_nice(int nice);
int clinux_thread_nice(void);
/* User plus system CPU time of this process, in microseconds. */
int64_t clinux_cpu_microseconds(void);
/* Where `needle` begins in `hay` first, or -1: memmem(3), whose time is linear whatever both are. */
int64_t clinux_find(const uint8_t *hay, int64_t hay_count, const uint8_t *needle, int64_t needle_count);
/* Resident set of this process in KiB, 0 when /proc is not there. */
int64_t clinux_resident_kib(void);

enum { CLINUX_IN = 0x001, CLINUX_OUT = 0x004, CLINUX_ERR = 0x008, CLINUX_HUP = 0x010 };
#endif
