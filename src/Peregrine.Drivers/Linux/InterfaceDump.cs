// Asks rtnetlink for all interfaces of the calling thread's namespace. sysfs would show those of the namespace it was mounted in.
using System.Runtime.InteropServices;
using System.Text;
using Peregrine.Wire;

namespace Peregrine.Drivers.Linux;

internal static class InterfaceDump
{
    private const int MessageHeader = 16, LinkHeader = 16, RoundsMax = 1024;
    private const ushort Error = 2, Done = 3, NewLink = 16, GetLink = 18;
    private const ushort RequestDump = 0x301;
    private const ushort Address = 1, Name = 3, Mtu = 4, LinkKind = 18, Statistics = 23, TransmitQueues = 31, ReceiveQueues = 32, Carrier = 33, Xdp = 43;
    private const ushort LinkKindName = 1, XdpAttached = 2;
    private const uint FlagUp = 1, FlagLoopback = 8;
    private const ushort TypeEthernet = 1;
    private const ushort AttributeMask = 0x3FFF;

    /// <summary>The interfaces, by number.</summary>
    /// <exception cref="IOException">The kernel refused.</exception>
    public static IReadOnlyList<InterfaceFacts> Read()
    {
        var socket = Posix.Socket(LinuxConstants.FamilyNetlink, LinuxConstants.SocketRaw, 0).ThrowIfError("cannot open a netlink socket").Int32;
        try
        {
            Span<byte> request = stackalloc byte[MessageHeader + LinkHeader];
            request.Clear();
            MemoryMarshal.Write(request, request.Length);
            MemoryMarshal.Write(request[4..], GetLink);
            MemoryMarshal.Write(request[6..], RequestDump);
            Posix.Send(socket, request).ThrowIfError("cannot ask for the interfaces");
            var found = new List<InterfaceFacts>();
            var buffer = new byte[65_536];
            for (var round = 0; round < RoundsMax; round++)
            {
                var got = Posix.Receive(socket, buffer);
                if (got.Errno == Errno.EINTR) continue;
                if (!TakeMessages(buffer.AsSpan(0, got.ThrowIfError("cannot read the interfaces").Int32), found)) break;
            }
            return [.. found.OrderBy(static one => one.Index)];
        }
        finally
        {
            Posix.Close(socket);
        }
    }

    /// <summary>Takes the messages of one datagram; false after the last.</summary>
    private static bool TakeMessages(ReadOnlySpan<byte> bytes, List<InterfaceFacts> found)
    {
        while (bytes.Length >= MessageHeader)
        {
            var length = MemoryMarshal.Read<int>(bytes);
            var kind = MemoryMarshal.Read<ushort>(bytes[4..]);
            if (kind is Done or Error || length < MessageHeader || length > bytes.Length) return false;
            if (kind == NewLink && length >= MessageHeader + LinkHeader) found.Add(Describe(bytes[MessageHeader..length]));
            bytes = bytes[Math.Min(bytes.Length, (length + 3) & ~3)..];
        }
        return true;
    }

    private static InterfaceFacts Describe(ReadOnlySpan<byte> message)
    {
        var flags = MemoryMarshal.Read<uint>(message[8..]);
        var attributes = message[LinkHeader..];
        var address = Find(attributes, Address);
        return new InterfaceFacts
        {
            Name = Text(Find(attributes, Name)),
            Index = MemoryMarshal.Read<int>(message[4..]),
            Kind = Text(Find(Find(attributes, LinkKind), LinkKindName)),
            MacAddress = address.Length == 6 ? MacAddress.Read(address) : default,
            Mtu = (int)Number(Find(attributes, Mtu), 0),
            IsLoopback = (flags & FlagLoopback) != 0,
            IsEthernet = MemoryMarshal.Read<ushort>(message[2..]) == TypeEthernet,
            IsUp = (flags & FlagUp) != 0,
            // The flag IFF_RUNNING follows the carrier late, by a work queue.
            IsRunning = (flags & FlagUp) != 0 && Find(attributes, Carrier) is [not 0, ..],
            ReceiveQueueCount = (int)Number(Find(attributes, ReceiveQueues), 1),
            TransmitQueueCount = (int)Number(Find(attributes, TransmitQueues), 1),
            // struct rtnl_link_stats64 begins with frames received and sent.
            ReceivedFrames = Counter(Find(attributes, Statistics), 0),
            SentFrames = Counter(Find(attributes, Statistics), 8),
            HasXdpProgram = Find(Find(attributes, Xdp), XdpAttached) is [not 0, ..],
        };
    }

    /// <summary>The value of an attribute of netlink's; empty where it is not there.</summary>
    internal static ReadOnlySpan<byte> Find(ReadOnlySpan<byte> attributes, ushort wanted)
    {
        while (attributes.Length >= 4)
        {
            int length = MemoryMarshal.Read<ushort>(attributes);
            if (length < 4 || length > attributes.Length) break;
            if ((MemoryMarshal.Read<ushort>(attributes[2..]) & AttributeMask) == wanted) return attributes[4..length];
            attributes = attributes[Math.Min(attributes.Length, (length + 3) & ~3)..];
        }
        return default;
    }

    private static uint Number(ReadOnlySpan<byte> value, uint missing) => value.Length >= 4 ? MemoryMarshal.Read<uint>(value) : missing;

    private static long Counter(ReadOnlySpan<byte> value, int offset) => value.Length >= offset + 8 ? MemoryMarshal.Read<long>(value[offset..]) : 0;

    private static string Text(ReadOnlySpan<byte> value) => Encoding.UTF8.GetString(value.TrimEnd((byte)0));
}
