/* The fake scanner of the comparison: it accepts KAST's command line, writes KAST's files, and
 * records its start and its end.
 *
 * The program appends lines to `scanner.log` beside its own file:
 *
 *     start JOB PID NS      its first instruction; NS is CLOCK_MONOTONIC
 *     overlap JOB PID NS    the same, while another process of this job still ran
 *     child JOB PID NS      a grandchild
 *     finish JOB PID NS     its last instruction; a killed process has none
 *
 * JOB is the number at the end of the name of the folder above `-o`, or of the label `jobN` of the
 * target. Overlaps are recorded where a folder `locks` exists beside the program.
 *
 * The labels of the target's host, split at `-`, `.`, `:` and `/`, select the conduct:
 *
 *     200ms      lives for this time (default: no time)
 *     child      starts a grandchild in its process group, which lives for ten minutes
 *     stubborn   the grandchild ignores SIGINT and SIGTERM
 *
 * `scanner --floor N SLOTS OUT` starts N processes of itself in groups of their own, SLOTS at once,
 * and waits for them: the least that any job system must do. It prints the nanoseconds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* No process of a test outlives this time. */
#define GUARD_SECONDS 900
#define GRANDCHILD_MS 600000

static char home[PATH_MAX];

static long long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void find_home(void) {
    ssize_t size = readlink("/proc/self/exe", home, sizeof home - 1);
    if (size < 0) {
        perror("scanner: /proc/self/exe");
        exit(3);
    }
    home[size] = 0;
    *strrchr(home, '/') = 0;
}

/* One write of a short line to a file opened for appending is not torn. */
static void record(const char *what, long job, long long at) {
    char path[PATH_MAX + 16], line[128];
    snprintf(path, sizeof path, "%s/scanner.log", home);
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    int size = snprintf(line, sizeof line, "%s %ld %d %lld\n", what, job, getpid(), at);
    if (file < 0 || write(file, line, size) != size) {
        perror("scanner: scanner.log");
        exit(3);
    }
    close(file);
}

static void live(long ms) {
    long long end = now_ns() + ms * 1000000LL;
    struct timespec until = {end / 1000000000LL, end % 1000000000LL};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}

/* Writes a file as KAST does: under another name, then a rename. */
static void put(const char *folder, const char *name, const char *text) {
    char path[PATH_MAX], fresh[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(fresh, sizeof fresh, "%s.tmp", path);
    int file = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    ssize_t size = strlen(text);
    if (file < 0 || write(file, text, size) != size || close(file) || rename(fresh, path)) {
        perror(path);
        exit(3);
    }
}

/* Returns the number at the end of a text, or -1. */
static long number_at_end(const char *text) {
    const char *at = text + strlen(text);
    while (at > text && at[-1] >= '0' && at[-1] <= '9') {
        at--;
    }
    return *at ? atol(at) : -1;
}

static int scan(const char *target, const char *out, long long started) {
    long job = -1, ms = 0;
    int child = 0, stubborn = 0;
    char words[512], folder[PATH_MAX];
    snprintf(words, sizeof words, "%s", target);
    for (char *word = strtok(words, "-.:/"); word; word = strtok(NULL, "-.:/")) {
        char *unit;
        long number = strtol(word, &unit, 10);
        if (unit != word && !strcmp(unit, "ms")) {
            ms = number;
        } else if (!strcmp(word, "child")) {
            child = 1;
        } else if (!strcmp(word, "stubborn")) {
            stubborn = 1;
        } else if (!strncmp(word, "job", 3) && number_at_end(word) >= 0) {
            job = number_at_end(word);
        }
    }
    snprintf(folder, sizeof folder, "%s", out);
    char *above = dirname(folder);
    if (job < 0) {
        job = number_at_end(above);
    }

    /* The lock is held until the process is gone; its grandchild does not hold it. */
    char lock_path[PATH_MAX + 32];
    snprintf(lock_path, sizeof lock_path, "%s/locks/%ld", home, job);
    int lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    int alone = lock < 0 || flock(lock, LOCK_EX | LOCK_NB) == 0;
    record(alone ? "start" : "overlap", job, started);

    alarm(GUARD_SECONDS);
    if (child) {
        pid_t pid = fork();
        if (pid < 0) {
            perror("scanner: fork");
            return 3;
        }
        if (pid == 0) {
            if (lock >= 0) {
                close(lock);
            }
            alarm(GUARD_SECONDS);
            if (stubborn) {
                signal(SIGINT, SIG_IGN);
                signal(SIGTERM, SIG_IGN);
            }
            record("child", job, now_ns());
            live(GRANDCHILD_MS);
            _exit(0);
        }
    }
    mkdir(above, 0777);
    mkdir(out, 0777);
    put(out, "whatweb.json", "[]");
    printf("Running whatweb\n");
    fflush(stdout);
    if (ms) {
        live(ms);
    }
    put(out, "whatweb_processed.json",
        "{\"plugin-name\": \"whatweb\", \"timestamp\": \"2026-01-01T00:00:00.000+00:00\","
        " \"findings\": {\"disposition\": \"success\", \"results\": [{\"any\": \"thing\"}]},"
        " \"findings_count\": 1, \"summary\": \"Looked.\", \"issues\": []}");
    put(out, "kast_info.json",
        "{\"kast_version\": \"3.0.40\", \"plugins\": [{\"plugin_name\": \"whatweb\","
        " \"start_timestamp\": \"2026-01-01T00:00:00.000000\", \"end_timestamp\": \"2026-01-01T00:00:00.000000\","
        " \"duration_seconds\": 0.0, \"status\": \"success\"}]}");
    put(out, "kast_report.html", "<h1>A report</h1>");
    record("finish", job, now_ns());
    return 0;
}

static int floor_of(long count, long slots, const char *out) {
    extern char **environ;
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    char program[PATH_MAX + 16];
    snprintf(program, sizeof program, "%s/scanner", home);
    long long start = now_ns();
    long running = 0;
    for (long job = 1; job <= count || running;) {
        if (job <= count && running < slots) {
            char folder[PATH_MAX];
            snprintf(folder, sizeof folder, "%s/scan-%ld/attempt-1", out, job++);
            char *arguments[] = {program, "-t", "0ms.test", "-m", "passive", "-o", folder, NULL};
            pid_t pid;
            int error = posix_spawn(&pid, program, &actions, &attributes, arguments, environ);
            if (error) {
                fprintf(stderr, "scanner: posix_spawn: %s\n", strerror(error));
                return 3;
            }
            running++;
        } else {
            int status;
            if (wait(&status) < 0 || status) {
                fprintf(stderr, "scanner: a process of the floor failed: %d\n", status);
                return 3;
            }
            running--;
        }
    }
    printf("%lld\n", now_ns() - start);
    return 0;
}

int main(int count, char **arguments) {
    long long started = now_ns();
    find_home();
    const char *target = NULL, *out = NULL;
    for (int at = 1; at + 1 < count; at++) {
        if (!strcmp(arguments[at], "-t")) {
            target = arguments[at + 1];
        } else if (!strcmp(arguments[at], "-o")) {
            out = arguments[at + 1];
        }
    }
    if (target && out) {
        return scan(target, out, started);
    }
    if (count == 5 && !strcmp(arguments[1], "--floor")) {
        return floor_of(atol(arguments[2]), atol(arguments[3]), arguments[4]);
    }
    const char *first = count > 1 ? arguments[1] : "";
    if (!strcmp(first, "--version")) {
        puts("KAST version 3.0.40");
    } else if (!strcmp(first, "plugins") && count > 2 && !strcmp(arguments[2], "list")) {
        puts("{\"kast_version\": \"3.0.40\", \"plugins\": [{\"name\": \"whatweb\", \"display_name\": \"WhatWeb\","
             " \"description\": \"Looks.\", \"scan_type\": \"passive\", \"available\": true}]}");
    } else if (!strcmp(first, "plugins")) {
        puts("  [\xe2\x9c\x93] Priority  10 | whatweb (passive)");
    } else if (!strcmp(first, "registry")) {
        puts("{\"registry\": []}");
    } else if (!strcmp(first, "config") || !strcmp(first, "--config-schema")) {
        puts("{}");
    } else if (!strcmp(first, "--list-plugins")) {
        puts("\xe2\x9c\x93 whatweb (priority: 15, type: passive)\n  Looks.");
    } else {
        fprintf(stderr, "Error: Missing option '--target'.\n");
        return 2;
    }
    return 0;
}
