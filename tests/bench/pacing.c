/*
 * What is around a pair of directors while it is measured, in few instructions: an emulated processor has few.
 *
 *   ask ADDRESS PORT PERIOD_US   sends a datagram a period, whatever comes back; at SIGTERM it prints a line
 *                                "SENT ANSWERED", and "BEGAN LASTED" for each time without an answer of more
 *                                than two periods
 *   echo ADDRESS PORT            answers, from that address, whether it is there already or not
 *   watch DEVICE                 prints "TIME arp ADDRESS", "TIME vrrp PRIORITY" or "TIME beat HEX" for each
 *                                announcement, advertisement and heartbeat that leaves by a device
 *   burn                         takes whatever a processor has to give
 *
 * Times are seconds of the monotonic clock. All but burn are in time where they may be: SCHED_FIFO, and less
 * urgent than the pulse of lvsd.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PRIORITY = 10, HEARTBEAT = 539, VRRP = 112, UDP = 17, GAPS = 10000 };

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

static double now(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static struct {
    double began, lasted;
} gaps[GAPS];
static int count;

static void gap(double began, double ended, double period)
{
    if (ended - began > 2 * period && count < GAPS) {
        gaps[count].began = began;
        gaps[count++].lasted = ended - began;
    }
}

static void ask(const char *address, int port, double period)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    int udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    long sent = 0, answered = 0;
    double last = now(), due = last;
    char answer[64];

    if (udp < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1)
        err(1, "%s", address);
    if (connect(udp, (struct sockaddr *)&to, sizeof(to)))
        err(1, "connect");
    signal(SIGTERM, stop);
    puts("started");
    fflush(stdout);
    while (!stopped) {
        double left = due - now();
        struct timespec wait = {.tv_nsec = left > 0 ? left * 1e9 : 0};
        struct pollfd ready = {.fd = udp, .events = POLLIN};

        if (ppoll(&ready, 1, &wait, NULL) > 0)
            while (recv(udp, answer, sizeof(answer), 0) > 0) {
                double at = now();

                answered++;
                gap(last, at, period);
                last = at;
            }
        if (now() >= due) {
            sent++;
            if (send(udp, "?", 1, 0) < 0) {
                /* An ICMP answer to one before. */
            }
            due += period;
            if (due < now() - 1)
                due = now();
        }
    }
    gap(last, now(), period);
    printf("%ld %ld\n", sent, answered);
    for (int each = 0; each < count; each++)
        printf("%.6f %.6f\n", gaps[each].began, gaps[each].lasted);
}

static void echo(const char *address, int port)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port)}, who;
    int udp = socket(AF_INET, SOCK_DGRAM, 0), one = 1;
    char asked[64];

    if (udp < 0 || inet_pton(AF_INET, address, &here.sin_addr) != 1)
        err(1, "%s", address);
    setsockopt(udp, IPPROTO_IP, IP_FREEBIND, &one, sizeof(one));
    if (bind(udp, (struct sockaddr *)&here, sizeof(here)))
        err(1, "bind");
    puts("serving");
    fflush(stdout);
    for (;;) {
        socklen_t length = sizeof(who);
        long size = recvfrom(udp, asked, sizeof(asked), 0, (struct sockaddr *)&who, &length);

        if (size >= 0 && sendto(udp, asked, size, 0, (struct sockaddr *)&who, length) < 0)
            continue; /* no way back at the moment */
    }
}

static void show(double at, const unsigned char *frame, long size)
{
    const unsigned char *packet = frame + 14, *payload;
    int type = frame[12] << 8 | frame[13], header;

    if (type == ETHERTYPE_ARP && size >= 14 + 28) {
        printf("%.6f arp %d.%d.%d.%d\n", at, packet[14], packet[15], packet[16], packet[17]);
        return;
    }
    header = (packet[0] & 15) * 4;
    if (type != ETHERTYPE_IP || size < 14 + header + 8)
        return;
    payload = packet + header;
    if (packet[9] == VRRP)
        printf("%.6f vrrp %d\n", at, payload[2]);
    else if (packet[9] == UDP && (payload[2] << 8 | payload[3]) == HEARTBEAT) {
        printf("%.6f beat ", at);
        for (const unsigned char *each = payload + 8; each < frame + size; each++)
            printf("%02x", *each);
        putchar('\n');
    }
}

static void watch(const char *device)
{
    struct sockaddr_ll from = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    int wire = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
    unsigned char frame[2048];

    from.sll_ifindex = if_nametoindex(device);
    if (wire < 0 || bind(wire, (struct sockaddr *)&from, sizeof(from)))
        err(1, "%s", device);
    puts("watching");
    fflush(stdout);
    for (;;) {
        socklen_t length = sizeof(from);
        long size = recvfrom(wire, frame, sizeof(frame), 0, (struct sockaddr *)&from, &length);

        if (size < 0) /* the device went down */
            continue;
        if (from.sll_pkttype == PACKET_OUTGOING && size > 34) {
            show(now(), frame, size);
            fflush(stdout);
        }
    }
}

int main(int argc, char **argv)
{
    struct sched_param urgent = {.sched_priority = PRIORITY};

    if (argc == 2 && !strcmp(argv[1], "burn"))
        for (;;)
            ;
    if (sched_setscheduler(0, SCHED_FIFO, &urgent))
        warn("SCHED_FIFO");
    if (argc == 5 && !strcmp(argv[1], "ask"))
        ask(argv[2], atoi(argv[3]), atoi(argv[4]) / 1e6);
    else if (argc == 4 && !strcmp(argv[1], "echo"))
        echo(argv[2], atoi(argv[3]));
    else if (argc == 3 && !strcmp(argv[1], "watch"))
        watch(argv[2]);
    else
        errx(2, "ask ADDRESS PORT PERIOD_US | echo ADDRESS PORT | watch DEVICE | burn");
    return 0;
}
