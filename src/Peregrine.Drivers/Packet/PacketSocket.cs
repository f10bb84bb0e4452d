// Opening a packet socket for a queue: the options, and errors that say what to do. No frames here.
using System.Runtime.InteropServices;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Packet;

internal static unsafe class PacketSocket
{
    private const ushort AllProtocols = 0x0003;

    /// <summary>Opens the sockets of all queues on an interface; they get what comes in from now on.</summary>
    public static int[] OpenAll(int interfaceIndex, string name, PacketOptions options)
    {
        var sockets = new int[options.QueueCount];
        Array.Fill(sockets, -1);
        try
        {
            var fanout = 0;
            for (var i = 0; i < sockets.Length; i++)
            {
                sockets[i] = Open(interfaceIndex, name, options);
                if (sockets.Length > 1) fanout = Join(sockets[i], fanout, isFirst: i == 0);
            }
            return sockets;
        }
        catch
        {
            foreach (var socket in sockets)
            {
                if (socket >= 0) Posix.Close(socket);
            }
            throw;
        }
    }

    private static int Open(int interfaceIndex, string name, PacketOptions options)
    {
        // Protocol 0: nothing comes in before the socket is set up and bound.
        var made = Posix.Socket(LinuxConstants.FamilyPacket, LinuxConstants.SocketRaw | LinuxConstants.SocketNonBlocking, 0);
        if (made.Errno is Errno.EPERM or Errno.EACCES)
            throw new UnauthorizedAccessException("no permission to open a packet socket: run as root, give the program CAP_NET_RAW ('setcap cap_net_raw+ep'), or use --link memory");
        var socket = made.ThrowIfError("cannot open a packet socket").Int32;
        try
        {
            Set(socket, PacketOption.VnetHeader, 1, "the kernel knows no virtio header on packet sockets");
            Set(socket, PacketOption.AuxiliaryData, 1, "cannot ask for VLAN tags");
            Set(socket, PacketOption.IgnoreOutgoing, 1, "the kernel is older than 4.20");
            if (options.BypassQdisc) Set(socket, PacketOption.QdiscBypass, 1, "cannot pass by the queueing discipline");
            SetBuffer(socket, LinuxConstants.ReceiveBufferForce, LinuxConstants.ReceiveBuffer, options.BufferBytes);
            SetBuffer(socket, LinuxConstants.SendBufferForce, LinuxConstants.SendBuffer, options.BufferBytes);
            if (options.Ports.Count > 0) PortFilter.AttachOurs(socket, options.Ports);
            Bind(socket, interfaceIndex, name, options);
            return socket;
        }
        catch
        {
            Posix.Close(socket);
            throw;
        }
    }

    /// <summary>Binds a socket to an interface. One that is bound already changes over, which needs no permission; in a group it may not.</summary>
    public static void Bind(int socket, int interfaceIndex, string name, PacketOptions options)
    {
        var address = new PacketAddress
        {
            Family = LinuxConstants.FamilyPacket, Protocol = System.Buffers.Binary.BinaryPrimitives.ReverseEndianness(AllProtocols), Index = interfaceIndex,
        };
        Posix.Bind(socket, &address, sizeof(PacketAddress)).ThrowIfError($"cannot bind a packet socket to '{name}'");
        if (!options.Promiscuous && options.MacAddress is null) return;
        var membership = new PacketMembership { Index = interfaceIndex, Kind = PacketOption.MembershipPromiscuous };
        Posix.SetSocketOption(socket, LinuxConstants.LevelPacket, PacketOption.AddMembership, &membership, sizeof(PacketMembership))
            .ThrowIfError($"'{name}' cannot be made promiscuous");
    }

    /// <summary>Joins the group of all queues, which the first makes with a number that nobody else has.</summary>
    private static int Join(int socket, int group, bool isFirst)
    {
        var kind = PacketOption.FanoutHash | PacketOption.FanoutFlagDefragment | (isFirst ? PacketOption.FanoutFlagUnique : 0);
        Set(socket, PacketOption.Fanout, group | (kind << 16), "cannot spread flows over several packet sockets");
        if (!isFirst) return group;
        var told = 0;
        Posix.GetSocketOption(socket, LinuxConstants.LevelPacket, PacketOption.Fanout, &told, sizeof(int)).ThrowIfError("cannot read the number of the group of packet sockets");
        return told & 0xFFFF;
    }

    private static void Set(int socket, int option, int value, string problem) =>
        Posix.SetSocketOption(socket, LinuxConstants.LevelPacket, option, value).ThrowIfError(problem);

    // Beyond the machine's limit only with CAP_NET_ADMIN; without, the limit is what we get.
    private static void SetBuffer(int socket, int forced, int ordinary, int bytes)
    {
        if (Posix.SetSocketOption(socket, LinuxConstants.LevelSocket, forced, bytes).IsError)
            Posix.SetSocketOption(socket, LinuxConstants.LevelSocket, ordinary, bytes);
    }
}

/// <summary>struct packet_mreq.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct PacketMembership
{
    public int Index;
    public ushort Kind;
    public ushort AddressLength;
    public fixed byte Address[8];
}
