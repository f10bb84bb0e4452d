// Unix sockets with descriptors in their messages, and the seals of memory descriptors. Thin: one line a call, no policy.
// Kept apart from Posix because the structures (sockaddr_un, msghdr, cmsghdr) are only needed here.
using System.Runtime.InteropServices;
using System.Text;

namespace Peregrine.Drivers.Linux;

internal static unsafe class UnixSocket
{
    /// <summary>SOCK_STREAM, SOCK_SEQPACKET.</summary>
    public const int Stream = 1, SequencedPackets = 5;

    /// <summary>F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW.</summary>
    public const int SealSeal = 1, SealShrink = 2, SealGrow = 4;

    /// <summary>memfd_create(2): the descriptor takes seals.</summary>
    public const uint DescriptorAllowSealing = 2;

    /// <summary>Bytes of sockaddr_un's path, a terminating zero included.</summary>
    public const int PathSize = 108;

    private const int FamilyUnix = 1, LevelSocket = 1, ControlRights = 1, FamilySize = 2;
    private const int NoSignal = 0x4000, DoNotWait = 0x40, CloseOnExecReceived = 0x4000_0000, ControlTruncated = 8, Truncated = 0x20;
    private const int AddSeals = 1033, GetSeals = 1034, SeekEnd = 2;
    private const int NoWait = 8;

    /// <summary>The most descriptors that one message carries here.</summary>
    public const int DescriptorCountMax = 8;

    /// <summary>Makes a non-blocking socket.</summary>
    public static PosixResult Create(int type) => Posix.Socket(FamilyUnix, type | OpenFlags.NonBlocking, 0);

    /// <summary>Makes two connected sockets, which block.</summary>
    public static PosixResult CreatePair(int type, Span<int> pair)
    {
        fixed (int* first = pair) return PosixResult.From(UnixCalls.SocketPair(FamilyUnix, type | LinuxConstants.SocketCloseOnExec, 0, first));
    }

    /// <summary>Binds to a path, or with a leading '@' to an abstract name.</summary>
    public static PosixResult Bind(int socket, string path)
    {
        var address = Address(path, out var length);
        fixed (byte* bytes = address) return PosixResult.From(UnixCalls.Bind(socket, bytes, length));
    }

    public static PosixResult Listen(int socket, int backlog) => PosixResult.From(UnixCalls.Listen(socket, backlog));

    /// <summary>Takes a connection; the new socket does not block.</summary>
    public static PosixResult Accept(int socket) =>
        PosixResult.From(UnixCalls.Accept(socket, null, null, OpenFlags.NonBlocking | OpenFlags.CloseOnExec));

    /// <summary>Connects to a path, or with a leading '@' to an abstract name.</summary>
    public static PosixResult Connect(int socket, string path)
    {
        var address = Address(path, out var length);
        fixed (byte* bytes = address) return PosixResult.From(UnixCalls.Connect(socket, bytes, length));
    }

    public static PosixResult Unlink(string path)
    {
        fixed (byte* bytes = Encoding.UTF8.GetBytes(path + '\0')) return PosixResult.From(UnixCalls.Unlink(bytes));
    }

    /// <summary>Sends one message with descriptors, which stay the caller's.</summary>
    public static PosixResult Send(int socket, ReadOnlySpan<byte> bytes, ReadOnlySpan<int> descriptors)
    {
        var control = stackalloc ulong[ControlSize(DescriptorCountMax) / sizeof(ulong)];
        fixed (byte* first = bytes)
        {
            var vector = new IoVector { Base = first, Length = (nuint)bytes.Length };
            var message = new MessageHeader { Vectors = &vector, VectorCount = 1 };
            if (descriptors.Length > 0)
            {
                var header = (ControlHeader*)control;
                *header = new ControlHeader { Length = (nuint)(sizeof(ControlHeader) + (descriptors.Length * sizeof(int))), Level = LevelSocket, Type = ControlRights };
                descriptors.CopyTo(new Span<int>(header + 1, DescriptorCountMax));
                message.Control = control;
                message.ControlLength = (nuint)ControlSize(descriptors.Length);
            }
            return PosixResult.From(UnixCalls.SendMessage(socket, &message, NoSignal));
        }
    }

    /// <summary>
    /// Receives one message and the descriptors in it, which are the caller's from then on. A message that brings more than fit, or more
    /// bytes than fit, is refused with EINVAL, and nothing of it is kept.
    /// </summary>
    public static PosixResult Receive(int socket, Span<byte> bytes, Span<int> descriptors, out int descriptorCount, bool wait = false)
    {
        descriptorCount = 0;
        var size = ControlSize(descriptors.Length);
        var control = stackalloc ulong[ControlSize(DescriptorCountMax) / sizeof(ulong)];
        fixed (byte* first = bytes)
        {
            var vector = new IoVector { Base = first, Length = (nuint)bytes.Length };
            var message = new MessageHeader { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = (nuint)size };
            var result = PosixResult.From(UnixCalls.ReceiveMessage(socket, &message, CloseOnExecReceived | (wait ? 0 : DoNotWait)));
            if (result.IsError) return result;
            descriptorCount = Take(message, control, descriptors);
            if ((message.Flags & (ControlTruncated | Truncated)) == 0) return result;
            foreach (var descriptor in descriptors[..descriptorCount]) Posix.Close(descriptor);
            descriptorCount = 0;
            return PosixResult.Of(Errno.EINVAL);
        }
    }

    /// <summary>Fixes what may no longer be done to a memory descriptor.</summary>
    public static PosixResult Seal(int descriptor, int seals) => PosixResult.From(LibC.FileControl(descriptor, AddSeals, seals));

    /// <summary>The seals of a descriptor; an error where it is none that can have seals.</summary>
    public static PosixResult Seals(int descriptor) => PosixResult.From(LibC.FileControl(descriptor, GetSeals, 0));

    /// <summary>A file's length in bytes; an error on what has none.</summary>
    public static PosixResult Length(int descriptor) => PosixResult.From(UnixCalls.Seek(descriptor, 0, SeekEnd));

    /// <summary>
    /// Reads an event descriptor's counter and never waits, also where the other owner of the descriptor has made it blocking again.
    /// </summary>
    public static PosixResult DrainEvent(int descriptor)
    {
        ulong count;
        var vector = new IoVector { Base = &count, Length = sizeof(ulong) };
        var result = PosixResult.From(UnixCalls.ReadV2(descriptor, &vector, 1, -1, NoWait));
        // Kernels before 5.8 know no such flag for an eventfd: there the descriptor's own setting has to do.
        return result.Errno is Errno.EOPNOTSUPP or Errno.ENOSYS ? Posix.Read(descriptor, &count, sizeof(ulong)) : result;
    }

    private static int ControlSize(int descriptors) => (sizeof(ControlHeader) + (descriptors * sizeof(int)) + 7) & ~7;

    private static int Take(in MessageHeader message, ulong* control, Span<int> descriptors)
    {
        var header = (ControlHeader*)control;
        if (message.ControlLength < (nuint)sizeof(ControlHeader) || header->Level != LevelSocket || header->Type != ControlRights) return 0;
        var count = Math.Min(((int)Math.Min(header->Length, message.ControlLength) - sizeof(ControlHeader)) / sizeof(int), descriptors.Length);
        new ReadOnlySpan<int>(header + 1, count).CopyTo(descriptors);
        return count;
    }

    private static byte[] Address(string path, out uint length)
    {
        var address = new byte[FamilySize + PathSize];
        address[0] = FamilyUnix;
        var count = Encoding.UTF8.GetBytes(path, address.AsSpan(FamilySize, PathSize - 1));
        // An abstract name begins with a zero byte and ends where the length says.
        var isAbstract = path.StartsWith('@');
        if (isAbstract) address[FamilySize] = 0;
        length = (uint)(FamilySize + count + (isAbstract ? 0 : 1));
        return address;
    }
}

internal static unsafe partial class UnixCalls
{
    private const string Library = "libc";

    [LibraryImport(Library, EntryPoint = "socketpair", SetLastError = true)]
    public static partial int SocketPair(int domain, int type, int protocol, int* pair);

    [LibraryImport(Library, EntryPoint = "bind", SetLastError = true)]
    public static partial int Bind(int socket, byte* address, uint length);

    [LibraryImport(Library, EntryPoint = "listen", SetLastError = true)]
    public static partial int Listen(int socket, int backlog);

    [LibraryImport(Library, EntryPoint = "accept4", SetLastError = true)]
    public static partial int Accept(int socket, byte* address, uint* length, int flags);

    [LibraryImport(Library, EntryPoint = "connect", SetLastError = true)]
    public static partial int Connect(int socket, byte* address, uint length);

    [LibraryImport(Library, EntryPoint = "unlink", SetLastError = true)]
    public static partial int Unlink(byte* path);

    [LibraryImport(Library, EntryPoint = "sendmsg", SetLastError = true)]
    public static partial nint SendMessage(int socket, MessageHeader* message, int flags);

    [LibraryImport(Library, EntryPoint = "recvmsg", SetLastError = true)]
    public static partial nint ReceiveMessage(int socket, MessageHeader* message, int flags);

    [LibraryImport(Library, EntryPoint = "lseek", SetLastError = true)]
    public static partial nint Seek(int descriptor, nint offset, int whence);

    [LibraryImport(Library, EntryPoint = "preadv2", SetLastError = true)]
    public static partial nint ReadV2(int descriptor, IoVector* vectors, int count, nint offset, int flags);
}

/// <summary>struct msghdr of glibc on a 64-bit machine: 56 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct MessageHeader
{
    public void* Name;
    public uint NameLength;
    public IoVector* Vectors;
    public nuint VectorCount;
    public void* Control;
    public nuint ControlLength;
    public int Flags;
}

/// <summary>struct cmsghdr on a 64-bit machine: 16 bytes, then its data.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ControlHeader
{
    public nuint Length;
    public int Level;
    public int Type;
}
