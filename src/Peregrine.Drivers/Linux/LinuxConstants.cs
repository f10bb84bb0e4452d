// Numbers of the Linux interface, named. Those that differ between x64 and Arm64 are properties; a test checks them by what they do.
using System.Runtime.InteropServices;

namespace Peregrine.Drivers.Linux;

/// <summary>Flags of open(2). The first four are the same everywhere; Arm64 has exchanged the others in pairs.</summary>
internal static class OpenFlags
{
    public const int ReadOnly = 0, ReadWrite = 2, NonBlocking = 0x800, CloseOnExec = 0x8_0000;

    private static bool IsArm => RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Arm;

    /// <summary>O_DIRECTORY: fails with ENOTDIR on anything else.</summary>
    public static int Directory => IsArm ? 0x4000 : 0x1_0000;

    /// <summary>O_NOFOLLOW: fails with ELOOP on a symbolic link.</summary>
    public static int NoFollow => IsArm ? 0x8000 : 0x2_0000;
}

/// <summary>Memory mapping.</summary>
internal static class MapFlags
{
    public const int None = 0, Read = 1, Write = 2;
    public const int Shared = 0x01, Private = 0x02, Fixed = 0x10, Anonymous = 0x20, NoReserve = 0x4000, Populate = 0x8000;
    public const int AdviseHugePage = 14;

    /// <summary>memfd_create(2): close on exec, huge pages, of 2 MiB (the size's logarithm in the upper six bits).</summary>
    public const uint DescriptorCloseOnExec = 1, DescriptorHugePages = 4, DescriptorHuge2MiB = 21u << 26;
}

/// <summary>poll(2), sockets, namespaces, configuration.</summary>
internal static class LinuxConstants
{
    public const short PollIn = 1, PollError = 8, PollHangUp = 16, PollInvalid = 32;

    /// <summary>eventfd(2) takes the same bits as open(2).</summary>
    public const int EventNonBlocking = OpenFlags.NonBlocking, EventCloseOnExec = OpenFlags.CloseOnExec;

    public const int FamilyInet = 2, FamilyInet6 = 10, FamilyNetlink = 16, FamilyPacket = 17;
    public const int SocketStream = 1, SocketDatagram = 2, SocketRaw = 3, SocketCloseOnExec = OpenFlags.CloseOnExec, SocketNonBlocking = OpenFlags.NonBlocking;
    public const int LevelSocket = 1, LevelPacket = 263, SendBuffer = 7, ReceiveBuffer = 8, SendBufferForce = 32, ReceiveBufferForce = 33, AttachFilter = 26;
    public const int MessageDoNotWait = 0x40;

    public const int NewNetworkNamespace = 0x4000_0000;

    /// <summary>sysconf(3) of glibc.</summary>
    public const int PageSizeName = 30;

    /// <summary>fcntl(2).</summary>
    public const int GetStatusFlags = 3, SetStatusFlags = 4;

    /// <summary>fcntl: F_SETFD, and its only flag.</summary>
    public const int SetDescriptorFlags = 2, DescriptorCloseOnExec = 1;
}

/// <summary>ioctl(2) of /dev/net/tun and of interfaces. The direction bits are the same on x64 and Arm64.</summary>
internal static class InterfaceControl
{
    public const nuint SetInterface = 0x4004_54CA;       // TUNSETIFF
    public const nuint SetPersist = 0x4004_54CB;         // TUNSETPERSIST
    public const nuint SetOffload = 0x4004_54D0;         // TUNSETOFFLOAD
    public const nuint GetInterface = 0x8004_54D2;       // TUNGETIFF
    public const nuint GetHeaderSize = 0x8004_54D7;      // TUNGETVNETHDRSZ
    public const nuint SetHeaderSize = 0x4004_54D8;      // TUNSETVNETHDRSZ

    public const nuint GetFlags = 0x8913;                // SIOCGIFFLAGS
    public const nuint GetMtu = 0x8921;                  // SIOCGIFMTU
    public const nuint GetHardwareAddress = 0x8927;      // SIOCGIFHWADDR
    public const nuint GetIndex = 0x8933;                // SIOCGIFINDEX

    public const short FlagUp = 0x1, FlagRunning = 0x40;

    public const short Tun = 0x1, Tap = 0x2, MultiQueue = 0x100, NoPacketInformation = 0x1000, VnetHeader = 0x4000;

    public const uint OffloadChecksum = 0x01, OffloadTcp4 = 0x02, OffloadTcp6 = 0x04, OffloadTcpEcn = 0x08, OffloadUdp4 = 0x20, OffloadUdp6 = 0x40;
}

/// <summary>Options of a packet socket (<c>linux/if_packet.h</c>).</summary>
internal static class PacketOption
{
    public const int AddMembership = 1, ReceiveRing = 5, Statistics = 6, AuxiliaryData = 8, Version = 10, TransmitRing = 13, VnetHeader = 15;
    public const int Fanout = 18, QdiscBypass = 20, IgnoreOutgoing = 23;

    public const ushort MembershipPromiscuous = 1, FanoutHash = 0, FanoutFlagDefragment = 0x8000, FanoutFlagUnique = 0x2000;
}

/// <summary>struct sockaddr_ll. The protocol is in network order.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct PacketAddress
{
    public ushort Family;
    public ushort Protocol;
    public int Index;
    public ushort HardwareType;
    public byte PacketType;
    public byte AddressLength;
    public fixed byte Address[8];
}

/// <summary>struct ifreq: the name, then a union of which only the first bytes are needed here. 40 bytes on 64-bit machines.</summary>
[StructLayout(LayoutKind.Explicit, Size = 40)]
internal unsafe struct InterfaceRequest
{
    public const int NameSize = 16;

    [FieldOffset(0)] public fixed byte Name[NameSize];
    [FieldOffset(16)] public short Flags;
    [FieldOffset(16)] public int Number;
    [FieldOffset(18)] public fixed byte HardwareAddress[6];

    public static InterfaceRequest For(string name)
    {
        InterfaceRequest request = default;
        for (var i = 0; i < name.Length && i < NameSize - 1; i++) request.Name[i] = (byte)name[i];
        return request;
    }

    public readonly string NameText()
    {
        fixed (byte* name = Name) return Marshal.PtrToStringUTF8((nint)name) ?? "";
    }
}
