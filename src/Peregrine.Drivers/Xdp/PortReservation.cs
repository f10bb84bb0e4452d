// Ports of a shared address that are ours are kept from the kernel's own programs by sockets that are bound and never used: they go with
// the process, unlike a sysctl. A bound port cannot be bound by another program nor be picked for a connection. Moves no frames.
using System.Net;
using System.Net.Sockets;
using Peregrine.Wire;

namespace Peregrine.Drivers.Xdp;

internal sealed class PortReservation : IDisposable
{
    /// <summary>
    /// Ports that are reserved at most. A wide range, as for connections that we open, is not: it is taken outside of the range from which the kernel
    /// picks (net.ipv4.ip_local_port_range), where nobody comes by chance.
    /// </summary>
    public const int PortCountMax = 256;

    private readonly List<Socket> _sockets = [];

    /// <summary>Reserves ranges of an address that the kernel has; call in the interface's namespace.</summary>
    /// <exception cref="IOException">A program of the kernel's has one of the ports already.</exception>
    public void Add(IpAddress address, IEnumerable<PortRange> ranges, bool udp)
    {
        foreach (var range in ranges)
        {
            for (int port = range.First; port <= range.Last && _sockets.Count < PortCountMax; port++) Add(address.ToIPAddress(), port, udp);
        }
    }

    public void Dispose()
    {
        foreach (var socket in _sockets) socket.Dispose();
        _sockets.Clear();
    }

    private void Add(IPAddress address, int port, bool udp)
    {
        // Without the protocol's name the run time sets no SO_REUSEADDR, with which another program could still bind.
        var socket = new Socket(address.AddressFamily, udp ? SocketType.Dgram : SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Bind(new IPEndPoint(address, port));
            _sockets.Add(socket);
        }
        catch (SocketException e)
        {
            socket.Dispose();
            // Of an address that the kernel does not have, no port can be taken from us.
            if (e.SocketErrorCode == SocketError.AddressNotAvailable) return;
            throw new IOException($"{(udp ? "UDP" : "TCP")} port {port} of {address} cannot be ours: {e.Message}. See 'ss -ltnup' for who has it, and stop that or take another port");
        }
    }
}
