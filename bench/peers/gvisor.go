// gVisor's netstack (Debian's golang-gvisor-gvisor-dev) with the services of the benchmarks on their ports, over AF_PACKET: gonet's listeners and
// a goroutine a connection, as its users write it; CUBIC. Ends when its standard input does.
// usage: gvisor ADDRESS DEVICE
package main

import (
	"bytes"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

const nic = 1

var (
	answer = []byte("HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Type: text/plain\r\n\r\nHello, world!")
	end    = []byte("\r\n\r\n")
)

func check(what string, err interface{ String() string }) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "gvisor: %s: %s\n", what, err)
		os.Exit(1)
	}
}

func fail(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "gvisor: %s: %v\n", what, err)
		os.Exit(1)
	}
}

func open(device string) (*net.Interface, int) {
	card, err := net.InterfaceByName(device)
	fail(device, err)
	const allProtocols = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, allProtocols&0xFFFF)
	fail("AF_PACKET", err)
	fail("bind", unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: allProtocols & 0xFFFF, Ifindex: card.Index}))
	fail("SO_RCVBUFFORCE", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20))
	return card, fd
}

func start(address net.IP, device string) *stack.Stack {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	sack, cubic := tcpip.TCPSACKEnabled(true), tcpip.CongestionControlOption("cubic")
	if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, &sack); err != nil {
		check("SACK", err)
	}
	if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, &cubic); err != nil {
		check("cubic", err)
	}
	card, fd := open(device)
	link, err := fdbased.New(&fdbased.Options{
		FDs: []int{fd}, MTU: 1500, EthernetHeader: true, Address: tcpip.LinkAddress(card.HardwareAddr), PacketDispatchMode: fdbased.RecvMMsg,
	})
	fail("link", err)
	if err := s.CreateNIC(nic, link); err != nil {
		check("interface", err)
	}
	own := tcpip.AddressWithPrefix{Address: tcpip.Address(address), PrefixLen: 24}
	if err := s.AddProtocolAddress(nic, tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: own}, stack.AddressProperties{}); err != nil {
		check("address", err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: own.Subnet(), NIC: nic}})
	return s
}

func serve(connection *gonet.TCPConn, port uint16) {
	defer connection.Close()
	buffer := make([]byte, 64<<10)
	if port == 19 {
		for {
			if _, err := connection.Write(buffer); err != nil {
				return
			}
		}
	}
	for {
		n, err := connection.Read(buffer)
		if err != nil {
			return
		}
		switch port {
		case 7:
			_, err = connection.Write(buffer[:n])
		case 80, 81:
			// Each request of the benchmarks' clients lies in one segment.
			for i := bytes.Count(buffer[:n], end); i > 0 && err == nil; i-- {
				_, err = connection.Write(answer)
				if port == 81 {
					return
				}
			}
		}
		if err != nil {
			return
		}
	}
}

func listen(s *stack.Stack, port uint16) {
	listener, err := gonet.ListenTCP(s, tcpip.FullAddress{NIC: nic, Port: port}, ipv4.ProtocolNumber)
	fail("listen", err)
	for {
		connection, err := listener.Accept()
		fail("accept", err)
		go serve(connection.(*gonet.TCPConn), port)
	}
}

func echoDatagrams(s *stack.Stack) {
	socket, err := gonet.DialUDP(s, &tcpip.FullAddress{NIC: nic, Port: 7}, nil, ipv4.ProtocolNumber)
	fail("UDP", err)
	buffer := make([]byte, 2048)
	for {
		n, from, err := socket.ReadFrom(buffer)
		fail("UDP", err)
		socket.WriteTo(buffer[:n], from)
	}
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: gvisor ADDRESS DEVICE")
		os.Exit(2)
	}
	s := start(net.ParseIP(os.Args[1]).To4(), os.Args[2])
	for _, port := range []uint16{7, 9, 19, 80, 81} {
		go listen(s, port)
	}
	go echoDatagrams(s)
	fmt.Println("ready")
	for one := make([]byte, 1); ; {
		if n, err := os.Stdin.Read(one); n == 0 || err != nil {
			return
		}
	}
}
