// A library for LD_PRELOAD that simulates a failing disk for one process. Writes and syncs below
// $FAILING_DISK_FOLDER fail while the file $FAILING_DISK_TRIGGER exists. The trigger file holds the
// failing operation ("write" or "sync"; "write" also fails the opening of a file for writing) and
// the error number: "write 5", "sync 5", "write 30".
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

// Returns the error number with which `kind` fails now, or 0 if it does not fail.
static int failure_of(const char *kind) {
    const char *trigger = getenv("FAILING_DISK_TRIGGER");
    if (!trigger || access(trigger, F_OK) != 0) return 0;
    int kept = errno;
    int file = (int)REAL(open)(trigger, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    char text[64] = {0}, found[32] = {0};
    int number = 0;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    errno = kept;
    if (length <= 0 || sscanf(text, "%31s %d", found, &number) != 2) return 0;
    return strcmp(found, kind) == 0 ? number : 0;
}

static int is_below(const char *path) {
    const char *folder = getenv("FAILING_DISK_FOLDER");
    return folder && strncmp(path, folder, strlen(folder)) == 0;
}

static int fails(int file, const char *kind) {
    int number = failure_of(kind);
    if (!number) return 0;
    char link[64], path[4096] = {0};
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    if (readlink(link, path, sizeof path - 1) < 0 || !is_below(path)) return 0;
    errno = number;
    return 1;
}

#define GUARDED(result, name, kind, parameters, ...)                                                                                                             \
    result name parameters {                                                                                                                                     \
        if (fails(file, kind)) return -1;                                                                                                                        \
        return REAL(name)(__VA_ARGS__);                                                                                                                          \
    }

GUARDED(ssize_t, write, "write", (int file, const void *data, size_t length), file, data, length)
GUARDED(ssize_t, writev, "write", (int file, const struct iovec *parts, int count), file, parts, count)
GUARDED(ssize_t, pwrite, "write", (int file, const void *data, size_t length, off_t at), file, data, length, at)
GUARDED(ssize_t, pwrite64, "write", (int file, const void *data, size_t length, off64_t at), file, data, length, at)
GUARDED(int, fallocate, "write", (int file, int mode, off_t at, off_t length), file, mode, at, length)
GUARDED(int, fsync, "sync", (int file), file)
GUARDED(int, fdatasync, "sync", (int file), file)
GUARDED(int, sync_file_range, "sync", (int file, off64_t at, off64_t length, unsigned int flags), file, at, length, flags)

static int refuses(const char *path, int flags) {
    int number = (flags & (O_WRONLY | O_RDWR | O_CREAT)) && path[0] == '/' && is_below(path) ? failure_of("write") : 0;
    if (number) errno = number;
    return number;
}

#define OPENING(name)                                                                                                                                            \
    int name(const char *path, int flags, ...) {                                                                                                                 \
        va_list more;                                                                                                                                            \
        va_start(more, flags);                                                                                                                                   \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(more, mode_t) : 0;                                                                                \
        va_end(more);                                                                                                                                            \
        if (refuses(path, flags)) return -1;                                                                                                                     \
        return REAL(name)(path, flags, mode);                                                                                                                    \
    }

OPENING(open)
OPENING(open64)
