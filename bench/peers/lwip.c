// lwIP (Debian's liblwip) with the services of the benchmarks on their ports, over AF_PACKET: the raw call-back API, frames in bursts each way,
// everything on one thread under the core's lock; lwIP's own thread has its timers. Ends when its standard input does.
// usage: lwip ADDRESS DEVICE [spin]
#define _GNU_SOURCE
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
// The C library's names and lwIP's own for the same things cannot stand in one file: what is needed of the first is declared here.
struct mmsghdr_ { struct { void *name; uint32_t namelen; struct { void *base; size_t len; } *iov; size_t iovlen; void *control; size_t controllen; int flags; } hdr; unsigned len; };
int socket(int, int, int);
int bind(int, const void *, uint32_t);
int setsockopt(int, int, int, const void *, uint32_t);
ssize_t send(int, const void *, size_t, int);
int recvmmsg(int, struct mmsghdr_ *, unsigned, int, void *);
int sendmmsg(int, struct mmsghdr_ *, unsigned, int);
unsigned if_nametoindex(const char *);

#include <lwip/etharp.h>
#include <lwip/netif.h>
#include <lwip/tcp.h>
#include <lwip/tcpip.h>
#include <lwip/udp.h>
#include <netif/ethernet.h>

enum { ECHO = 7, DISCARD = 9, SOURCE = 19, HTTP = 80, HTTP_CLOSING = 81, BURST = 64, FRAME = 2048, PACKET = 17, RAW = 3, NOWAIT = 0x40, CLOEXEC = 0x80000 };

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Type: text/plain\r\n\r\nHello, world!";
static char source[256 * 1024];
static int link_fd, in_turn;
static unsigned queued;
static char in[BURST][FRAME], out[BURST][FRAME];
static struct { void *base; size_t len; } in_parts[BURST], out_parts[BURST];
static struct mmsghdr_ in_messages[BURST], out_messages[BURST];
static uint8_t mac[6];

static void die(const char *what) { perror(what); exit(1); }

static void flush_out(void) {
  for (unsigned done = 0; done < queued;) {
    int n = sendmmsg(link_fd, out_messages + done, queued - done, 0);
    if (n <= 0) break; // as a full ring: lost
    done += n;
  }
  queued = 0;
}

static err_t output(struct netif *netif, struct pbuf *p) {
  (void)netif;
  if (p->tot_len > FRAME) return ERR_BUF;
  if (!in_turn) { // lwIP's own thread: a timer
    char one[FRAME];
    pbuf_copy_partial(p, one, p->tot_len, 0);
    return send(link_fd, one, p->tot_len, 0) < 0 ? ERR_IF : ERR_OK;
  }
  if (queued == BURST) flush_out();
  pbuf_copy_partial(p, out[queued], p->tot_len, 0);
  out_parts[queued++].len = p->tot_len;
  return ERR_OK;
}

static err_t set_up(struct netif *netif) {
  netif->name[0] = 'b'; netif->name[1] = 'n';
  netif->mtu = 1500;
  netif->hwaddr_len = 6;
  memcpy(netif->hwaddr, mac, 6);
  netif->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
  netif->output = etharp_output;
  netif->linkoutput = output;
  return ERR_OK;
}

static void fill(struct tcp_pcb *pcb) {
  for (;;) {
    unsigned room = tcp_sndbuf(pcb);
    if (room == 0 || tcp_write(pcb, source, room < 0xFFFF ? room : 0xFFFF, 0) != ERR_OK) break;
  }
  tcp_output(pcb);
}

static err_t on_sent(void *service, struct tcp_pcb *pcb, u16_t n) { (void)service; (void)n; fill(pcb); return ERR_OK; }

static err_t end(struct tcp_pcb *pcb) {
  tcp_recv(pcb, NULL);
  tcp_sent(pcb, NULL);
  if (tcp_close(pcb) == ERR_OK) return ERR_OK;
  tcp_abort(pcb);
  return ERR_ABRT;
}

// Each request of the benchmarks' clients lies in one segment; the number of headers' ends in it is the number of answers.
static err_t on_received(void *service, struct tcp_pcb *pcb, struct pbuf *p, err_t error) {
  int port = (int)(intptr_t)service;
  err_t result = ERR_OK;
  if (!p) return end(pcb);
  if (error != ERR_OK) { pbuf_free(p); return error; }
  tcp_recved(pcb, p->tot_len);
  for (struct pbuf *q = p; q && result == ERR_OK; q = q->next) {
    if (port == ECHO && tcp_write(pcb, q->payload, q->len, TCP_WRITE_FLAG_COPY) != ERR_OK) { tcp_abort(pcb); result = ERR_ABRT; }
    if (port != HTTP && port != HTTP_CLOSING) continue;
    const char *at = q->payload, *stop = at + q->len;
    for (; result == ERR_OK && (at = memmem(at, stop - at, "\r\n\r\n", 4)); at += 4) {
      if (tcp_write(pcb, answer, sizeof answer - 1, 0) != ERR_OK) { tcp_abort(pcb); result = ERR_ABRT; }
      else if (port == HTTP_CLOSING) { result = end(pcb); break; }
    }
  }
  pbuf_free(p);
  return result;
}

static err_t on_accept(void *service, struct tcp_pcb *pcb, err_t error) {
  if (error != ERR_OK || !pcb) return ERR_VAL;
  tcp_arg(pcb, service);
  tcp_nagle_disable(pcb);
  tcp_recv(pcb, on_received);
  if ((int)(intptr_t)service == SOURCE) { tcp_sent(pcb, on_sent); fill(pcb); }
  return ERR_OK;
}

static void on_datagram(void *unused, struct udp_pcb *pcb, struct pbuf *p, const ip_addr_t *from, u16_t port) {
  (void)unused;
  udp_sendto(pcb, p, from, port);
  pbuf_free(p);
}

static void open_link(const char *device) {
  char path[256];
  snprintf(path, sizeof path, "/sys/class/net/%s/address", device);
  FILE *file = fopen(path, "r");
  if (!file || fscanf(file, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) != 6) die(path);
  fclose(file);
  int one = 1, size = 4 << 20;
  link_fd = socket(PACKET, RAW | CLOEXEC, lwip_htons(ETH_P_ALL));
  struct sockaddr_ll name = { .sll_family = PACKET, .sll_protocol = lwip_htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(device) };
  if (link_fd < 0 || bind(link_fd, &name, sizeof name)) die(device);
  setsockopt(link_fd, 263 /* SOL_PACKET */, PACKET_IGNORE_OUTGOING, &one, sizeof one);
  setsockopt(link_fd, 1 /* SOL_SOCKET */, 33 /* SO_RCVBUFFORCE */, &size, sizeof size);
  for (int i = 0; i < BURST; i++) {
    in_parts[i].base = in[i]; in_parts[i].len = FRAME; out_parts[i].base = out[i];
    in_messages[i].hdr.iov = (void *)&in_parts[i]; in_messages[i].hdr.iovlen = 1;
    out_messages[i].hdr.iov = (void *)&out_parts[i]; out_messages[i].hdr.iovlen = 1;
  }
}

static void turn(struct netif *netif) {
  int n = recvmmsg(link_fd, in_messages, BURST, NOWAIT, NULL);
  if (n <= 0) return;
  LOCK_TCPIP_CORE();
  in_turn = 1;
  for (int i = 0; i < n; i++) {
    // In one piece of its own: full frames in pieces of the pool spoilt the heap of Debian's build.
    struct pbuf *p = pbuf_alloc(PBUF_RAW, in_messages[i].len, PBUF_RAM);
    if (!p) continue;
    pbuf_take(p, in[i], in_messages[i].len);
    if (ethernet_input(p, netif) != ERR_OK) pbuf_free(p);
  }
  flush_out();
  in_turn = 0;
  UNLOCK_TCPIP_CORE();
}

static void ready(void *semaphore) { sys_sem_signal(semaphore); }

int main(int argc, char **argv) {
  if (argc < 3) { fprintf(stderr, "usage: lwip ADDRESS DEVICE [spin]\n"); return 2; }
  int wait = argc > 3 && !strcmp(argv[3], "spin") ? 0 : -1;
  open_link(argv[2]);
  sys_sem_t started;
  sys_sem_new(&started, 0);
  tcpip_init(ready, &started);
  sys_sem_wait(&started);
  static struct netif netif;
  ip4_addr_t address, mask, none = { 0 };
  if (!ip4addr_aton(argv[1], &address)) { fprintf(stderr, "lwip: \"%s\" is no address\n", argv[1]); return 2; }
  IP4_ADDR(&mask, 255, 255, 255, 0);
  LOCK_TCPIP_CORE();
  netif_add(&netif, &address, &mask, &none, NULL, set_up, ethernet_input);
  netif_set_default(&netif);
  netif_set_link_up(&netif);
  netif_set_up(&netif);
  const int ports[] = { ECHO, DISCARD, SOURCE, HTTP, HTTP_CLOSING };
  for (size_t i = 0; i < sizeof ports / sizeof *ports; i++) {
    struct tcp_pcb *pcb = tcp_new();
    if (tcp_bind(pcb, IP_ADDR_ANY, ports[i]) != ERR_OK || !(pcb = tcp_listen_with_backlog(pcb, 255))) { fprintf(stderr, "lwip: cannot listen\n"); return 1; }
    tcp_arg(pcb, (void *)(intptr_t)ports[i]);
    tcp_accept(pcb, on_accept);
  }
  struct udp_pcb *echo = udp_new();
  udp_bind(echo, IP_ADDR_ANY, ECHO);
  udp_recv(echo, on_datagram, NULL);
  UNLOCK_TCPIP_CORE();
  puts("ready");
  fflush(stdout);
  struct pollfd both[] = { { .fd = link_fd, .events = POLLIN }, { .fd = 0, .events = POLLIN } };
  for (char byte;;) {
    if (poll(both, 2, wait) < 0 && errno != EINTR) die("poll");
    if (both[1].revents && read(0, &byte, 1) <= 0) return 0;
    if (both[0].revents) turn(&netif);
  }
}
