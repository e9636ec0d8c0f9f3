/* A worker that runs no job but tells of seven, one of which runs every ten seconds: what a runner says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define JOBS 7
#define PERIOD 10

static int connection;

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static void say(const char *text) {
    size_t left = strlen(text);
    while (left > 0) {
        ssize_t sent = send(connection, text, left, MSG_NOSIGNAL);
        if (sent <= 0)
            exit(1);
        text += sent;
        left -= sent;
    }
}

static void rest(long nanoseconds) {
    struct timespec span = {nanoseconds / 1000000000, nanoseconds % 1000000000};
    nanosleep(&span, NULL);
}

int main(int count, char **arguments) {
    struct sockaddr_un daemon = {.sun_family = AF_UNIX};
    static char heard[1 << 16], line[1 << 14];
    for (int i = 1; i < count; i++)
        if (strncmp(arguments[i], "--report=", 9) == 0)
            strncpy(daemon.sun_path, arguments[i] + 9, sizeof daemon.sun_path - 1);
    connection = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(connection, (struct sockaddr *)&daemon, sizeof daemon) != 0)
        return 1;
    say("{\"type\":\"hello\",\"version\":1,\"python\":\"3.11.2\"}\n");
    do {
        ssize_t got = recv(connection, heard, sizeof heard - 1, 0);
        if (got <= 0)
            return 1;
        heard[got] = 0;
    } while (strstr(heard, "\"go\"") == NULL);
    say("{\"type\":\"ready\"}\n");
    int end = sprintf(line, "{\"type\":\"jobs\",\"kind\":\"schedule\",\"jobs\":[");
    for (int i = 0; i < JOBS; i++)
        end += sprintf(line + end,
                       "%s{\"id\":\"tasks.jobs.job%d every %d seconds\",\"name\":\"job%d\",\"schedule\":\"every %d "
                       "seconds\",\"interval\":%d,\"next_run\":%.3f,\"text\":\"Every %d seconds do job%d()\"}",
                       i ? "," : "", i, PERIOD + i, i, PERIOD + i, PERIOD + i, now() + PERIOD, PERIOD + i, i);
    sprintf(line + end, "]}\n");
    say(line);
    srand(getpid());
    rest(rand() % PERIOD * 1000000000L + rand() % 1000000000L);
    for (int run = 1;; run++) {
        int job = run % JOBS;
        sprintf(line, "{\"type\":\"begun\",\"run\":%d,\"job\":\"tasks.jobs.job%d every %d seconds\",\"at\":%.3f}\n", run,
                job, PERIOD + job, now());
        say(line);
        rest(20000000);
        sprintf(line,
                "{\"type\":\"ended\",\"run\":%d,\"job\":\"tasks.jobs.job%d every %d seconds\",\"at\":%.3f,"
                "\"outcome\":\"ok\",\"duration\":0.02,\"next_run\":%.3f}\n",
                run, job, PERIOD + job, now(), now() + PERIOD * JOBS);
        say(line);
        rest(PERIOD * 1000000000L);
    }
}
