// What a network driver says that it can do with XDP: the generic netlink family "netdev" (Linux 6.3; what it can do with sent frames 6.8). Asked and
// parsed here; no policy. linux/netdev.h: enum netdev_xdp_act, netdev_xsk_flags, NETDEV_A_DEV_*.
using System.Runtime.InteropServices;

namespace Peregrine.Drivers.Linux;

/// <summary>The features of one interface's driver.</summary>
/// <param name="Xdp">What it does with a program and with AF_XDP.</param>
/// <param name="Sent">What it does with the metadata of frames that AF_XDP sends without copies.</param>
internal readonly record struct DeviceFeatures(ulong Xdp, ulong Sent)
{
    public const ulong Basic = 1, Redirect = 2, ZeroCopy = 8;
    public const ulong SendingTime = 1, SentChecksum = 2;

    private const int NetlinkGeneric = 16, MessageHeader = 16, GenericHeader = 4, RoundsMax = 1024;
    private const ushort Error = 2, Done = 3, Control = 16;
    private const ushort Request = 1, RequestDump = 0x301;
    private const byte GetFamily = 3, GetDevice = 1;
    private const ushort FamilyIdentifier = 1, FamilyName = 2;
    private const ushort InterfaceIndex = 1, XdpFeatures = 3, SentFeatures = 6;

    /// <summary>Whether the driver runs a program itself, which can hand frames to a socket.</summary>
    public bool IsNative => (Xdp & (Basic | Redirect)) == (Basic | Redirect);

    /// <summary>Whether it moves an AF_XDP socket's frames without copies.</summary>
    public bool HasZeroCopy => IsNative && (Xdp & ZeroCopy) != 0;

    /// <summary>Whether it finishes the checksum of a frame that it sends without a copy.</summary>
    public bool FinishesChecksums => (Sent & SentChecksum) != 0;

    /// <summary>The features of all interfaces of the calling thread's namespace, by number; null where the kernel does not say.</summary>
    public static IReadOnlyDictionary<int, DeviceFeatures>? TryReadAll()
    {
        var opened = Posix.Socket(LinuxConstants.FamilyNetlink, LinuxConstants.SocketRaw, NetlinkGeneric);
        if (opened.IsError) return null;
        try
        {
            ushort family = 0;
            Ask(opened.Int32, Control, Request, GetFamily, "netdev", attributes => family = (ushort)Number(InterfaceDump.Find(attributes, FamilyIdentifier)));
            if (family == 0) return null;
            var found = new Dictionary<int, DeviceFeatures>();
            Ask(opened.Int32, family, RequestDump, GetDevice, "", attributes => Take(attributes, found));
            return found;
        }
        finally
        {
            Posix.Close(opened.Int32);
        }
    }

    /// <summary>Takes one interface's attributes.</summary>
    internal static void Take(ReadOnlySpan<byte> attributes, Dictionary<int, DeviceFeatures> found) =>
        found[(int)Number(InterfaceDump.Find(attributes, InterfaceIndex))] =
            new DeviceFeatures(Number(InterfaceDump.Find(attributes, XdpFeatures)), Number(InterfaceDump.Find(attributes, SentFeatures)));

    private delegate void Taker(ReadOnlySpan<byte> attributes);

    /// <summary>Sends one request and gives the attributes of each answer; none when the kernel refuses.</summary>
    private static void Ask(int socket, ushort family, ushort flags, byte command, string name, Taker take)
    {
        Span<byte> request = stackalloc byte[64];
        request.Clear();
        var length = MessageHeader + GenericHeader;
        if (name.Length > 0)
        {
            MemoryMarshal.Write(request[length..], (ushort)(4 + name.Length + 1));
            MemoryMarshal.Write(request[(length + 2)..], FamilyName);
            length += (4 + System.Text.Encoding.ASCII.GetBytes(name, request[(length + 4)..]) + 1 + 3) & ~3;
        }
        MemoryMarshal.Write(request, length);
        MemoryMarshal.Write(request[4..], family);
        MemoryMarshal.Write(request[6..], flags);
        (request[MessageHeader], request[MessageHeader + 1]) = (command, 1);
        if (Posix.Send(socket, request[..length]).IsError) return;
        var buffer = new byte[65_536];
        for (var round = 0; round < RoundsMax; round++)
        {
            var got = Posix.Receive(socket, buffer);
            if (got.Errno == Errno.EINTR) continue;
            if (got.IsError || !TakeMessages(buffer.AsSpan(0, got.Int32), take) || flags == Request) return;
        }
    }

    /// <summary>Takes the messages of one datagram; false after the last.</summary>
    private static bool TakeMessages(ReadOnlySpan<byte> bytes, Taker take)
    {
        while (bytes.Length >= MessageHeader)
        {
            var length = MemoryMarshal.Read<int>(bytes);
            if (MemoryMarshal.Read<ushort>(bytes[4..]) is Done or Error || length < MessageHeader + GenericHeader || length > bytes.Length) return false;
            take(bytes[(MessageHeader + GenericHeader)..length]);
            bytes = bytes[Math.Min(bytes.Length, (length + 3) & ~3)..];
        }
        return true;
    }

    // Identifiers have 16 bits, interfaces 32 and features 64.
    private static ulong Number(ReadOnlySpan<byte> value) => value.Length switch
    {
        >= 8 => MemoryMarshal.Read<ulong>(value),
        >= 4 => MemoryMarshal.Read<uint>(value),
        >= 2 => MemoryMarshal.Read<ushort>(value),
        _ => 0,
    };
}
