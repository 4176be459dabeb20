/*
 * Faults of a disk and of a log, on command of a test. Loaded by LD_PRELOAD into the server.
 *
 * The variable FAULTS names a file of 64 bytes that the test writes and this library maps:
 *   byte 0  fsync and fdatasync   of files in the folder "store"
 *   byte 1  writes                of files in the folder "store"
 *   byte 2  reads                 of files in the folder "store"
 *   byte 3  writes                of the file or pipe that is standard error
 *   byte 4  1: the next reading of the clock by the thread that bytes 16 to 31 name fails, once
 *   bytes 8 to 15  the size of the disk: writes that would let the folder "store" grow beyond it fail; 0 for no limit
 *
 * The values of bytes 0 to 3: see enum fault.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum fault { NONE, IO_ERROR, NO_SPACE, TORN, SHORT, WAIT, READ_ONLY };
enum operation { SYNC, WRITE, READ, LOG };

struct control {
    volatile uint8_t faults[4];
    volatile uint8_t clock;
    uint8_t unused[3];
    volatile uint64_t disk_bytes;
    char thread[16];
    uint8_t unused_too[32];
};

static struct control *control;

static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_read)(int, void *, size_t);
static ssize_t (*real_pread)(int, void *, size_t, off_t);
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    real_read = dlsym(RTLD_NEXT, "read");
    real_pread = dlsym(RTLD_NEXT, "pread");
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("FAULTS");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED)
        control = mapped;
}

/* The path of a file in the folder "store", or NULL. */
static const char *in_store(int fd, char path[static 4096]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, 4095);
    if (length < 0)
        return NULL;
    path[length] = 0;
    return strstr(path, "/store/") ? path : NULL;
}

static int is_log(int fd) {
    struct stat file, log;
    return fstat(fd, &file) == 0 && fstat(2, &log) == 0 && file.st_ino == log.st_ino && file.st_dev == log.st_dev;
}

static int fail(int error) {
    errno = error;
    return -1;
}

/* The bytes of all files of the folder of this file. */
static uint64_t bytes_beside(const char *path) {
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = 0;
    uint64_t sum = 0;
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries && (entry = readdir(entries));) {
        struct stat file;
        if (fstatat(dirfd(entries), entry->d_name, &file, 0) == 0 && S_ISREG(file.st_mode))
            sum += (uint64_t)file.st_size;
    }
    if (entries)
        closedir(entries);
    return sum;
}

static int is_full(int fd, const char *path, uint64_t end) {
    struct stat file;
    if (control->disk_bytes == 0 || fstat(fd, &file) != 0 || end <= (uint64_t)file.st_size)
        return 0;
    return bytes_beside(path) + (end - (uint64_t)file.st_size) > control->disk_bytes;
}

/* Waits as long as it is told to. Returns an error to fail with, or 0; sets how many bytes to work on. */
static int strike(enum operation operation, size_t *count) {
    while (control->faults[operation] == WAIT)
        usleep(1000);
    size_t half = *count / 2;
    switch (control->faults[operation]) {
    case IO_ERROR:
        return EIO;
    case NO_SPACE:
        return ENOSPC;
    case READ_ONLY:
        return EROFS;
    case TORN:
        *count = half;
        return ENOSPC;
    case SHORT:
        *count = half ? half : *count;
        return 0;
    default:
        return 0;
    }
}

static int synchronize(int fd, int (*real)(int)) {
    char path[4096];
    size_t none = 0;
    if (!control || !in_store(fd, path))
        return real(fd);
    int error = strike(SYNC, &none);
    return error ? fail(error) : real(fd);
}

int fsync(int fd) { return synchronize(fd, real_fsync); }
int fdatasync(int fd) { return synchronize(fd, real_fdatasync); }

/* `offset` is -1 for a write at the position of the file. */
static ssize_t put(int fd, const void *bytes, size_t count, off_t offset) {
    char path[4096];
    const char *found = control ? in_store(fd, path) : NULL;
    int error = 0;
    size_t all = count;
    if (found) {
        error = strike(WRITE, &count);
        off_t from = offset < 0 ? lseek(fd, 0, SEEK_CUR) : offset;
        if (!error && is_full(fd, found, (uint64_t)from + count))
            error = ENOSPC;
    } else if (control && is_log(fd)) {
        error = strike(LOG, &count);
    }
    if (error && count == all)
        return fail(error);
    ssize_t done = offset < 0 ? real_write(fd, bytes, count) : real_pwrite(fd, bytes, count, offset);
    /* A torn write says how much it wrote, and the next one fails. */
    return done;
}

ssize_t write(int fd, const void *bytes, size_t count) { return put(fd, bytes, count, -1); }
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) { return put(fd, bytes, count, offset); }
ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset) { return put(fd, bytes, count, offset); }

static ssize_t fetch(int fd, void *bytes, size_t count, off_t offset) {
    char path[4096];
    if (control && in_store(fd, path)) {
        size_t wanted = count;
        int error = strike(READ, &wanted);
        if (error)
            return fail(error);
        count = wanted;
    }
    return offset < 0 ? real_read(fd, bytes, count) : real_pread(fd, bytes, count, offset);
}

ssize_t read(int fd, void *bytes, size_t count) { return fetch(fd, bytes, count, -1); }
ssize_t pread(int fd, void *bytes, size_t count, off_t offset) { return fetch(fd, bytes, count, offset); }
ssize_t pread64(int fd, void *bytes, size_t count, off_t offset) { return fetch(fd, bytes, count, offset); }

int clock_gettime(clockid_t clock, struct timespec *time) {
    char name[16] = {0};
    if (control && control->clock && prctl(PR_GET_NAME, name) == 0 && strncmp(name, control->thread, 16) == 0) {
        control->clock = 0;
        return fail(EINVAL);
    }
    return real_clock_gettime(clock, time);
}
