// Keeps the kernel silent about our ports, and its programs off them: a socket a port that listens behind a filter which drops everything.
// The kernel finds a listener, so it sends no reset; the listener hears nothing, so it sends no SYN-ACK. No permission is needed beyond that for
// low ports, no rule of a firewall is touched, and all of it ends with the process.
using System.Runtime.InteropServices;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Packet;

internal sealed unsafe class PortGuard : IDisposable
{
    /// <summary>Each port takes two descriptors.</summary>
    public const int PortCountMax = 4_096;

    private readonly List<int> _sockets = [];

    /// <summary>Guards the ports on all addresses of the calling thread's namespace, both families.</summary>
    /// <exception cref="IOException">A program has one of them.</exception>
    public PortGuard(IReadOnlyList<PortRange> ports)
    {
        var count = ports.Sum(static range => range.Last - range.First + 1);
        if (count > PortCountMax) throw new ArgumentException($"{count} ports are more than the {PortCountMax} that can be kept from the kernel.");
        try
        {
            foreach (var range in ports)
            {
                for (int port = range.First; port <= range.Last; port++)
                {
                    Guard((ushort)port, LinuxConstants.SocketStream);
                    Guard((ushort)port, LinuxConstants.SocketDatagram);
                }
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        foreach (var socket in _sockets) Posix.Close(socket);
        _sockets.Clear();
    }

    private void Guard(ushort port, int kind)
    {
        // An IPv6 socket on any address serves both families.
        var made = Posix.Socket(LinuxConstants.FamilyInet6, kind, 0);
        var family = LinuxConstants.FamilyInet6;
        if (made.IsError) (made, family) = (Posix.Socket(LinuxConstants.FamilyInet, kind, 0), LinuxConstants.FamilyInet);
        var socket = made.ThrowIfError("cannot open a socket to guard a port").Int32;
        _sockets.Add(socket);
        PortFilter.AttachNothing(socket);
        var address = new AnyAddress { Family = (ushort)family, Port = System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(port) };
        var bound = Posix.Bind(socket, &address, family == LinuxConstants.FamilyInet6 ? 28 : 16);
        if (bound.Errno == Errno.EADDRINUSE) throw new IOException($"a program of this machine has port {port}: stop it, or take another port");
        if (bound.Errno is Errno.EACCES or Errno.EPERM) throw new UnauthorizedAccessException($"no permission to take port {port}: ports below 1024 need CAP_NET_BIND_SERVICE");
        bound.ThrowIfError($"cannot take port {port}");
        if (kind == LinuxConstants.SocketStream) Posix.Listen(socket, 1).ThrowIfError($"cannot guard port {port}");
    }

    /// <summary>struct sockaddr_in6 or, its start, sockaddr_in, of any address.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 28)]
    private struct AnyAddress
    {
        public ushort Family;
        public ushort Port;
    }
}
