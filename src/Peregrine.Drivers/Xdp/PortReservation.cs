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
            for (int port = range.First; port <= range.Last && _sockets.Count < PortCountMax; port++)
            {
                if (TryBind(address.ToIPAddress(), port, udp) is not { } e) continue;
                throw new IOException($"{(udp ? "UDP" : "TCP")} port {port} of {address} cannot be ours: {e.Message}. See 'ss -ltnup' for who has it, and stop that or take another port");
            }
        }
    }

    /// <summary>Reserves one port. False when a program of the kernel's has it.</summary>
    /// <exception cref="UnauthorizedAccessException">This process may not bind it.</exception>
    public bool TryAdd(IpAddress address, ushort port, bool udp) => TryBind(address.ToIPAddress(), port, udp) switch
    {
        null => true,
        { SocketErrorCode: SocketError.AccessDenied } e => throw new UnauthorizedAccessException(e.Message, e),
        _ => false,
    };

    public void Dispose()
    {
        foreach (var socket in _sockets) socket.Dispose();
        _sockets.Clear();
    }

    private SocketException? TryBind(IPAddress address, int port, bool udp)
    {
        var e = TryBind(address, port, udp, listens: false);
        // Connections that are over still have the port for a minute. Beside them a listener can be bound, to whom nothing comes, and nobody beside it.
        return e?.SocketErrorCode == SocketError.AddressAlreadyInUse && !udp ? TryBind(address, port, udp, listens: true) : e;
    }

    private SocketException? TryBind(IPAddress address, int port, bool udp, bool listens)
    {
        // Without the protocol's name the run time sets no SO_REUSEADDR, with which another program could still bind.
        var socket = new Socket(address.AddressFamily, udp ? SocketType.Dgram : SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            if (listens) socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
            socket.Bind(new IPEndPoint(address, port));
            if (listens) socket.Listen(1);
            _sockets.Add(socket);
            return null;
        }
        catch (SocketException e)
        {
            socket.Dispose();
            // Of an address that the kernel does not have, no port can be taken from us.
            return e.SocketErrorCode == SocketError.AddressNotAvailable ? null : e;
        }
    }
}
