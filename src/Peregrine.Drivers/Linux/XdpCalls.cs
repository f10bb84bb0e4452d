// The calls of an AF_XDP socket: options, binding, wake-ups, and the maps that it shares with the kernel. Thin: no policy.
using System.Runtime.InteropServices;

namespace Peregrine.Drivers.Linux;

internal static unsafe partial class XdpCalls
{
    private const string Library = "libc";

    public static PosixResult Set<T>(int socket, int level, int option, in T value) where T : unmanaged
    {
        fixed (T* pointer = &value) return PosixResult.From(SetSocketOption(socket, level, option, pointer, (uint)sizeof(T)));
    }

    public static PosixResult Get<T>(int socket, int option, out T value) where T : unmanaged
    {
        value = default;
        var size = (uint)sizeof(T);
        fixed (T* pointer = &value) return PosixResult.From(GetSocketOption(socket, XdpNumbers.Level, option, pointer, &size));
    }

    public static PosixResult Bind<T>(int socket, T address) where T : unmanaged => PosixResult.From(BindSocket(socket, &address, (uint)sizeof(T)));

    /// <summary>Lets the kernel look at the ring of frames to be sent.</summary>
    public static PosixResult WakeTransmit(int socket) => PosixResult.From(SendTo(socket, null, 0, XdpNumbers.DontWait, null, 0));

    /// <summary>Lets the driver look at the ring of free chunks.</summary>
    public static PosixResult WakeFill(int socket) => PosixResult.From(ReceiveFrom(socket, null, 0, XdpNumbers.DontWait, null, null));

    public static PosixResult MapShared(int descriptor, nuint length, long offset) =>
        PosixResult.From(LibC.Map(0, length, MapFlags.Read | MapFlags.Write, MapFlags.Shared | MapFlags.Populate, descriptor, (nint)offset));

    [LibraryImport(Library, EntryPoint = "setsockopt", SetLastError = true)]
    private static partial int SetSocketOption(int socket, int level, int option, void* value, uint size);

    [LibraryImport(Library, EntryPoint = "getsockopt", SetLastError = true)]
    private static partial int GetSocketOption(int socket, int level, int option, void* value, uint* size);

    [LibraryImport(Library, EntryPoint = "bind", SetLastError = true)]
    private static partial int BindSocket(int socket, void* address, uint size);

    [LibraryImport(Library, EntryPoint = "sendto", SetLastError = true)]
    private static partial nint SendTo(int socket, void* buffer, nuint length, int flags, void* address, uint size);

    [LibraryImport(Library, EntryPoint = "recvfrom", SetLastError = true)]
    private static partial nint ReceiveFrom(int socket, void* buffer, nuint length, int flags, void* address, uint* size);
}
