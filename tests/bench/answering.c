/*
 * Real servers for checks: every address of this machine, one port; and when each was asked.
 *
 * Usage: answering KIND PORT, KIND being tcp or http. It says "ready", and at a line of two times (seconds,
 * monotonic) prints a line "TIME ADDRESS" for each connection between them, and an empty one. A program of
 * few instructions, because whoever checks shares the processor with it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nOK\n";

struct asked {
    double at;
    struct in_addr address;
};
static struct asked *list;
static size_t length, room;

static void take(int listener, int epoll)
{
    struct sockaddr_in here;
    struct timespec now;
    int connection;

    while ((connection = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        socklen_t size = sizeof(here);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = connection};

        clock_gettime(CLOCK_MONOTONIC, &now);
        if (getsockname(connection, (struct sockaddr *)&here, &size))
            err(1, "getsockname");
        if (length == room && !(list = realloc(list, (room = room * 2 + 4096) * sizeof(*list))))
            err(1, "realloc");
        list[length++] = (struct asked){(double)now.tv_sec + (double)now.tv_nsec / 1e9, here.sin_addr};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection, &event))
            err(1, "epoll_ctl");
    }
}

static void tell(void)
{
    char line[100];
    double since, until;

    if (!fgets(line, sizeof(line), stdin) || sscanf(line, "%lf %lf", &since, &until) != 2)
        exit(0);
    for (size_t i = 0; i < length; i++)
        if (list[i].at >= since && list[i].at < until)
            printf("%.6f %s\n", list[i].at, inet_ntoa(list[i].address));
    printf("\n");
    fflush(stdout);
}

int main(int count, char **words)
{
    int http = count == 3 && !strcmp(words[1], "http"), one = 1;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(count == 3 ? atoi(words[2]) : 0)};
    struct epoll_event events[64], first = {.events = EPOLLIN, .data.fd = listener}, typed = {.events = EPOLLIN};

    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(listener, (struct sockaddr *)&here, sizeof(here)) || listen(listener, 4096))
        err(1, "port %s", count == 3 ? words[2] : "?");
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &first);
    epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &typed);
    printf("ready\n");
    fflush(stdout);
    for (;;) {
        int found = epoll_wait(epoll, events, 64, -1);

        for (int i = 0; i < found; i++) {
            int number = events[i].data.fd;
            char said[4096];
            ssize_t size;

            if (number == listener) {
                take(listener, epoll);
            } else if (number == 0) {
                tell();
            } else {
                size = recv(number, said, sizeof(said), 0);
                if (size > 0 && !http)
                    continue;
                if (size > 0)
                    send(number, ANSWER, sizeof(ANSWER) - 1, MSG_NOSIGNAL);
                close(number);
            }
        }
    }
}
