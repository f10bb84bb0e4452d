// The C library's calls with results instead of errno. Thin: one line a call, no policy.
using System.Text;

namespace Peregrine.Drivers.Linux;

internal static unsafe class Posix
{
    /// <summary>Bytes a page of this machine.</summary>
    public static nuint PageSize { get; } = (nuint)Math.Max(4096, LibC.SystemConfiguration(LinuxConstants.PageSizeName));

    public static PosixResult Open(string path, int flags)
    {
        fixed (byte* bytes = NullTerminated(path)) return PosixResult.From(LibC.Open(bytes, flags | OpenFlags.CloseOnExec, 0));
    }

    public static PosixResult Close(int descriptor) => PosixResult.From(LibC.Close(descriptor));

    public static PosixResult Read(int descriptor, void* buffer, int count) => PosixResult.From(LibC.Read(descriptor, buffer, (nuint)count));

    public static PosixResult Write(int descriptor, void* buffer, int count) => PosixResult.From(LibC.Write(descriptor, buffer, (nuint)count));

    public static PosixResult ReadV(int descriptor, IoVector* vectors, int count) => PosixResult.From(LibC.ReadV(descriptor, vectors, count));

    public static PosixResult WriteV(int descriptor, IoVector* vectors, int count) => PosixResult.From(LibC.WriteV(descriptor, vectors, count));

    public static PosixResult IoControl(int descriptor, nuint request, void* argument) =>
        PosixResult.From(LibC.IoControl(descriptor, request, argument));

    public static PosixResult IoControl(int descriptor, nuint request, ref InterfaceRequest argument)
    {
        fixed (InterfaceRequest* pointer = &argument) return PosixResult.From(LibC.IoControl(descriptor, request, pointer));
    }

    public static PosixResult SetNonBlocking(int descriptor)
    {
        var flags = PosixResult.From(LibC.FileControl(descriptor, LinuxConstants.GetStatusFlags, 0));
        return flags.IsError ? flags : PosixResult.From(LibC.FileControl(descriptor, LinuxConstants.SetStatusFlags, flags.Value | OpenFlags.NonBlocking));
    }

    /// <summary>Waits until a descriptor is ready; a negative number of nanoseconds is for ever.</summary>
    public static PosixResult Poll(Span<PollDescriptor> descriptors, long nanoseconds)
    {
        var timeout = new TimeSpecification { Seconds = (nint)(nanoseconds / 1_000_000_000), Nanoseconds = (nint)(nanoseconds % 1_000_000_000) };
        fixed (PollDescriptor* first = descriptors)
            return PosixResult.From(LibC.Poll(first, (nuint)descriptors.Length, nanoseconds < 0 ? null : &timeout, null));
    }

    public static PosixResult CreateEvent() =>
        PosixResult.From(LibC.EventDescriptor(0, LinuxConstants.EventNonBlocking | LinuxConstants.EventCloseOnExec));

    public static PosixResult CreateMemoryDescriptor(string name, uint flags)
    {
        fixed (byte* bytes = NullTerminated(name)) return PosixResult.From(LibC.MemoryDescriptor(bytes, flags | MapFlags.DescriptorCloseOnExec));
    }

    public static PosixResult Truncate(int descriptor, nuint length) => PosixResult.From(LibC.Truncate(descriptor, (nint)length));

    public static PosixResult Map(nint address, nuint length, int protection, int flags, int descriptor) =>
        PosixResult.From(LibC.Map(address, length, protection, flags, descriptor, 0));

    public static PosixResult Unmap(nint address, nuint length) => PosixResult.From(LibC.Unmap(address, length));

    public static PosixResult Advise(nint address, nuint length, int advice) => PosixResult.From(LibC.Advise(address, length, advice));

    public static PosixResult SetAffinity(ReadOnlySpan<ulong> mask)
    {
        fixed (ulong* bits = mask) return PosixResult.From(LibC.SetAffinity(0, (nuint)(mask.Length * sizeof(ulong)), bits));
    }

    public static PosixResult GetAffinity(Span<ulong> mask)
    {
        fixed (ulong* bits = mask) return PosixResult.From(LibC.GetAffinity(0, (nuint)(mask.Length * sizeof(ulong)), bits));
    }

    public static PosixResult GetRandom(Span<byte> destination)
    {
        fixed (byte* bytes = destination) return PosixResult.From(LibC.GetRandom(bytes, (nuint)destination.Length, 0));
    }

    public static PosixResult SetNetworkNamespace(int descriptor) =>
        PosixResult.From(LibC.SetNamespace(descriptor, LinuxConstants.NewNetworkNamespace));

    public static PosixResult UnshareNetwork() => PosixResult.From(LibC.Unshare(LinuxConstants.NewNetworkNamespace));

    public static PosixResult Socket(int domain, int type, int protocol) =>
        PosixResult.From(LibC.Socket(domain, type | LinuxConstants.SocketCloseOnExec, protocol));

    public static PosixResult Send(int descriptor, ReadOnlySpan<byte> bytes)
    {
        fixed (byte* first = bytes) return PosixResult.From(LibC.Send(descriptor, first, (nuint)bytes.Length, 0));
    }

    public static PosixResult Receive(int descriptor, Span<byte> bytes)
    {
        fixed (byte* first = bytes) return PosixResult.From(LibC.Receive(descriptor, first, (nuint)bytes.Length, 0));
    }

    private static byte[] NullTerminated(string text)
    {
        var bytes = new byte[Encoding.UTF8.GetByteCount(text) + 1];
        Encoding.UTF8.GetBytes(text, bytes);
        return bytes;
    }
}
