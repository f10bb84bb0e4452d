// A raw packet socket on an interface of the kernel: sends and receives frames as they are. Independent of the AF_PACKET driver under test,
// and as simple as can be.
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Tests;

internal sealed unsafe class PacketPeer : IDisposable
{
    private const int ReceiveBufferBytes = 8 << 20;

    private readonly byte[] _buffer = new byte[66_000];
    private readonly int _socket;

    /// <summary>Call in the namespace of the interface.</summary>
    public PacketPeer(string name, ushort protocol = 0x0003)
    {
        _socket = Posix.Socket(LinuxConstants.FamilyPacket, LinuxConstants.SocketRaw | LinuxConstants.SocketNonBlocking, 0).ThrowIfError("packet socket").Int32;
        Set(LinuxConstants.LevelPacket, PacketOption.IgnoreOutgoing, 1);
        Set(LinuxConstants.LevelSocket, LinuxConstants.ReceiveBufferForce, ReceiveBufferBytes);
        var address = new PacketAddress { Family = LinuxConstants.FamilyPacket, Protocol = (ushort)((protocol << 8) | (protocol >> 8)), Index = RouteNetlink.IndexOf(name) };
        Posix.Bind(_socket, &address, sizeof(PacketAddress)).ThrowIfError("bind");
    }

    public void Send(ReadOnlySpan<byte> frame) => Posix.Send(_socket, frame).ThrowIfError("send");

    /// <summary>The next frame, waiting up to a fiftieth of a second.</summary>
    public byte[]? Receive()
    {
        for (var attempt = 0; attempt < 2; attempt++)
        {
            var got = Posix.Receive(_socket, _buffer);
            if (!got.IsError) return _buffer.AsSpan(0, got.Int32).ToArray();
            Span<PollDescriptor> poll = [new PollDescriptor { Descriptor = _socket, Events = LinuxConstants.PollIn }];
            if (attempt == 0) Posix.Poll(poll, 20_000_000);
        }
        return null;
    }

    public void Dispose() => Posix.Close(_socket);

    private void Set(int level, int option, int value) => Posix.SetSocketOption(_socket, level, option, &value, sizeof(int)).ThrowIfError("socket option");
}
