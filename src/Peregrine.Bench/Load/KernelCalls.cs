// The load generator's calls into the C library: sockets and epoll of the kernel, blittable, without an allocation a call. Only this room's
// client uses them; the stack's own calls are the drivers'.
using System.Runtime.InteropServices;

namespace Peregrine.Bench.Load;

internal static unsafe partial class KernelCalls
{
    internal const int Again = 11, Interrupted = 4, InProgress = 115;
    internal const int Stream = 1, Datagram = 2, NonBlocking = 0x800, CloseOnExec = 0x80000;
    internal const uint EventIn = 1, EventOut = 4, EventError = 8, EventHangUp = 0x10, EventPeerClosed = 0x2000, EdgeTriggered = 1u << 31;
    internal const int NoSignal = 0x4000;

    private const int AddressFamilyIPv4 = 2, ControlAdd = 1;
    private const int TcpProtocol = 6, NoDelayOption = 1, SocketLevel = 1, ErrorOption = 4;
    private const nuint UnsentBytes = 0x5411;

    /// <summary>An event's size: packed on x64 alone (man 2 epoll_wait; the kernel's uapi header).</summary>
    internal static int EventSize { get; } = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 12 : 16;

    /// <summary>Where an event has the number that it was registered with.</summary>
    internal static int EventDataOffset { get; } = EventSize - 8;

    internal static int LastError => Marshal.GetLastPInvokeError();

    /// <summary>A socket that does not block.</summary>
    /// <exception cref="IOException">The kernel gave none.</exception>
    internal static int Open(bool datagram)
    {
        var descriptor = Socket(AddressFamilyIPv4, (datagram ? Datagram : Stream) | NonBlocking | CloseOnExec, 0);
        if (descriptor < 0) throw new IOException($"cannot make a socket: error {LastError} (24: 'ulimit -n' is too small)");
        if (!datagram)
        {
            var on = 1;
            SetOption(descriptor, TcpProtocol, NoDelayOption, &on, sizeof(int));
        }
        return descriptor;
    }

    /// <summary>Begins to connect; 0 or an error number.</summary>
    internal static int BeginConnect(int descriptor, ReadOnlySpan<byte> address, int port)
    {
        // struct sockaddr_in: the family in the machine's order, port and address in the network's.
        Span<byte> name = stackalloc byte[16];
        name.Clear();
        MemoryMarshal.Write(name, (ushort)AddressFamilyIPv4);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt16BigEndian(name[2..], (ushort)port);
        address.CopyTo(name[4..]);
        fixed (byte* at = name) return Connect(descriptor, at, name.Length) == 0 ? 0 : LastError;
    }

    /// <summary>What became of a connection attempt: 0 or an error number.</summary>
    internal static int ConnectError(int descriptor)
    {
        int error = 0, size = sizeof(int);
        return GetOption(descriptor, SocketLevel, ErrorOption, &error, &size) == 0 ? error : LastError;
    }

    internal static void Register(int poll, int descriptor, uint events, int number)
    {
        Span<byte> record = stackalloc byte[16];
        record.Clear();
        MemoryMarshal.Write(record, events);
        MemoryMarshal.Write(record[EventDataOffset..], (long)number);
        fixed (byte* at = record)
        {
            if (PollControl(poll, ControlAdd, descriptor, at) != 0) throw new IOException($"epoll_ctl failed: error {LastError}");
        }
    }

    /// <summary>Bytes in a socket's send queue that have not been sent or acknowledged.</summary>
    internal static int Unsent(int descriptor)
    {
        var bytes = 0;
        return IoControl(descriptor, UnsentBytes, &bytes) == 0 ? bytes : 0;
    }

    /// <summary>Processor time of a process, all threads that it has or had; 0 when it is gone.</summary>
    internal static long CpuNanoseconds(int process)
    {
        // struct timespec: seconds and nanoseconds, 64 bits each on the processors that this runs on.
        var time = stackalloc long[2];
        int clock;
        return CpuClock(process, &clock) == 0 && ReadClock(clock, time) == 0 ? (time[0] * 1_000_000_000) + time[1] : 0;
    }

    [LibraryImport("libc", EntryPoint = "epoll_create1", SetLastError = true)]
    internal static partial int CreatePoll(int flags);

    [LibraryImport("libc", EntryPoint = "epoll_wait", SetLastError = true)]
    internal static partial int WaitPoll(int poll, byte* events, int count, int milliseconds);

    [LibraryImport("libc", EntryPoint = "send", SetLastError = true)]
    internal static partial nint Send(int descriptor, byte* bytes, nuint count, int flags);

    [LibraryImport("libc", EntryPoint = "recv", SetLastError = true)]
    internal static partial nint Receive(int descriptor, byte* bytes, nuint count, int flags);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    internal static partial int Close(int descriptor);

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    private static partial int Socket(int family, int type, int protocol);

    [LibraryImport("libc", EntryPoint = "connect", SetLastError = true)]
    private static partial int Connect(int descriptor, byte* name, int length);

    [LibraryImport("libc", EntryPoint = "setsockopt", SetLastError = true)]
    private static partial int SetOption(int descriptor, int level, int option, void* value, int length);

    [LibraryImport("libc", EntryPoint = "getsockopt", SetLastError = true)]
    private static partial int GetOption(int descriptor, int level, int option, void* value, int* length);

    [LibraryImport("libc", EntryPoint = "epoll_ctl", SetLastError = true)]
    private static partial int PollControl(int poll, int operation, int descriptor, byte* record);

    [LibraryImport("libc", EntryPoint = "clock_getcpuclockid")]
    private static partial int CpuClock(int process, int* clock);

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    private static partial int ReadClock(int clock, long* time);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static partial int IoControl(int descriptor, nuint request, void* argument);
}
