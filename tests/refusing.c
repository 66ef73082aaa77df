/* Preloaded, makes system calls fail: REFUSE=call:errno[:part of the path[:from the Nth on]][,...]. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int counts[16];

/* Whether this call on this path (or descriptor, where path is null) is to fail; sets errno. */
static int refused(const char *call, const char *path, int fd) {
    const char *rule = getenv("REFUSE");
    char link[64], target[4096];
    if (!rule) return 0;
    if (!path) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(link, target, sizeof target - 1);
        target[size < 0 ? 0 : size] = 0;
        path = target;
    }
    for (int number = 0; rule && *rule && number < 16; number++) {
        char name[32] = "", part[256] = "";
        int code = 0, from = 1;
        sscanf(rule, "%31[^:]:%d:%255[^:,]:%d", name, &code, part, &from);
        if (!strcmp(name, call) && strstr(path, part) && ++counts[number] >= from) {
            errno = code;
            return 1;
        }
        rule = strchr(rule, ',');
        if (rule) rule++;
    }
    return 0;
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define BY_FD(name, type, parameters, arguments)                                                              \
    type name parameters {                                                                                    \
        REAL(name);                                                                                           \
        return refused(#name, NULL, fd) ? -1 : real arguments;                                                \
    }
#define BY_PATH(name, call, parameters, arguments)                                                            \
    int name parameters {                                                                                     \
        REAL(name);                                                                                           \
        return refused(call, path, -1) ? -1 : real arguments;                                                 \
    }

BY_FD(write, ssize_t, (int fd, const void *data, size_t size), (fd, data, size))
BY_FD(fsync, int, (int fd), (fd))
BY_FD(fdatasync, int, (int fd), (fd))
BY_FD(fchmod, int, (int fd, mode_t mode), (fd, mode))
BY_FD(fchown, int, (int fd, uid_t user, gid_t group), (fd, user, group))
BY_FD(flock, int, (int fd, int operation), (fd, operation))
BY_FD(ftruncate, int, (int fd, off_t size), (fd, size))
BY_FD(ftruncate64, int, (int fd, off64_t size), (fd, size))
BY_PATH(rename, "rename", (const char *old, const char *path), (old, path))
BY_PATH(link, "link", (const char *old, const char *path), (old, path))
BY_PATH(unlink, "unlink", (const char *path), (path))
BY_PATH(unlinkat, "unlink", (int folder, const char *path, int flags), (folder, path, flags))
BY_PATH(rmdir, "rmdir", (const char *path), (path))
BY_PATH(chmod, "chmod", (const char *path, mode_t mode), (path, mode))
BY_PATH(mkdir, "mkdir", (const char *path, mode_t mode), (path, mode))
BY_PATH(stat, "stat", (const char *path, struct stat *found), (path, found))
BY_PATH(lstat, "stat", (const char *path, struct stat *found), (path, found))
BY_PATH(stat64, "stat", (const char *path, struct stat64 *found), (path, found))
BY_PATH(lstat64, "stat", (const char *path, struct stat64 *found), (path, found))

int close(int fd) {
    REAL(close);
    int refuse = refused("close", NULL, fd), code = errno, result = real(fd);
    if (!refuse) return result;
    errno = code;
    return -1;
}

#define OPEN(name)                                                                                            \
    int name(const char *path, int flags, ...) {                                                              \
        REAL(name);                                                                                           \
        va_list rest;                                                                                         \
        va_start(rest, flags);                                                                                \
        mode_t mode = va_arg(rest, mode_t);                                                                   \
        va_end(rest);                                                                                         \
        int writes = (flags & O_ACCMODE) != O_RDONLY;                                                         \
        return refused(writes ? "create" : "open", path, -1) ? -1 : real(path, flags, mode);                  \
    }
OPEN(open)
OPEN(open64)

#define FCNTL(name)                                                                                           \
    int name(int fd, int command, ...) {                                                                      \
        REAL(name);                                                                                           \
        va_list rest;                                                                                         \
        va_start(rest, command);                                                                              \
        void *argument = va_arg(rest, void *);                                                                \
        va_end(rest);                                                                                         \
        int locks = command == F_SETLK || command == F_SETLKW;                                                \
        return locks && refused("setlk", NULL, fd) ? -1 : real(fd, command, argument);                        \
    }
FCNTL(fcntl)
FCNTL(fcntl64)
