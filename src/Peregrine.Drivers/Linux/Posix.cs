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

    /// <summary>Says whether programs that this one starts get the descriptor.</summary>
    public static PosixResult SetCloseOnExec(int descriptor, bool closes) =>
        PosixResult.From(LibC.FileControl(descriptor, LinuxConstants.SetDescriptorFlags, closes ? LinuxConstants.DescriptorCloseOnExec : 0));

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

    /// <summary>The processors that this process may use; the first when the kernel does not say.</summary>
    public static List<int> Processors()
    {
        Span<ulong> mask = stackalloc ulong[16];
        mask.Clear();
        if (GetAffinity(mask).IsError) return [0];
        var found = new List<int>();
        for (var cpu = 0; cpu < mask.Length * 64; cpu++)
        {
            if ((mask[cpu / 64] >> (cpu % 64) & 1) != 0) found.Add(cpu);
        }
        return found.Count == 0 ? [0] : found;
    }

    /// <summary>A FILE* that appends to a descriptor, line by line, and owns it; 0 when it failed.</summary>
    public static nint OpenStream(int descriptor)
    {
        const int lineBuffered = 1;
        nint stream;
        fixed (byte* mode = "a\0"u8) stream = LibC.OpenStream(descriptor, mode);
        if (stream != 0) LibC.SetBuffering(stream, null, lineBuffered, 0);
        return stream;
    }

    /// <summary>Bytes in a file, or -1.</summary>
    public static long FileLength(int descriptor)
    {
        const int fromEnd = 2;
        return LibC.Seek(descriptor, 0, fromEnd);
    }

    public static PosixResult ReadAt(int descriptor, void* buffer, int count, long offset) =>
        PosixResult.From(LibC.ReadAt(descriptor, buffer, (nuint)count, (nint)offset));

    /// <summary>Bytes of a loaded library's symbol, as its symbol table says; 0 when it has none there.</summary>
    public static nuint SymbolSize(nint address)
    {
        // RTLD_DL_SYMENT gives the Elf64_Sym, whose size lies behind name, information and value.
        const int symbolEntry = 1, sizeOffset = 16;
        var information = stackalloc nint[4];
        byte* symbol = null;
        return LibC.FindSymbol(address, information, (void**)&symbol, symbolEntry) == 0 || symbol == null ? 0 : *(nuint*)(symbol + sizeOffset);
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

    public static PosixResult Bind(int descriptor, void* address, int length) => PosixResult.From(LibC.Bind(descriptor, address, (uint)length));

    public static PosixResult Listen(int descriptor, int backlog) => PosixResult.From(LibC.Listen(descriptor, backlog));

    public static PosixResult SetSocketOption(int descriptor, int level, int option, void* value, int length) =>
        PosixResult.From(LibC.SetSocketOption(descriptor, level, option, value, (uint)length));

    /// <summary>Sets an option that is a whole number.</summary>
    public static PosixResult SetSocketOption(int descriptor, int level, int option, int value) => SetSocketOption(descriptor, level, option, &value, sizeof(int));

    public static PosixResult GetSocketOption(int descriptor, int level, int option, void* value, int length)
    {
        var size = (uint)length;
        return PosixResult.From(LibC.GetSocketOption(descriptor, level, option, value, &size));
    }

    public static PosixResult ReceiveMessages(int descriptor, MultiMessage* messages, int count) =>
        PosixResult.From(LibC.ReceiveMessages(descriptor, messages, (uint)count, LinuxConstants.MessageDoNotWait, null));

    public static PosixResult SendMessages(int descriptor, MultiMessage* messages, int count) =>
        PosixResult.From(LibC.SendMessages(descriptor, messages, (uint)count, LinuxConstants.MessageDoNotWait));

    private static byte[] NullTerminated(string text)
    {
        var bytes = new byte[Encoding.UTF8.GetByteCount(text) + 1];
        Encoding.UTF8.GetBytes(text, bytes);
        return bytes;
    }
}
