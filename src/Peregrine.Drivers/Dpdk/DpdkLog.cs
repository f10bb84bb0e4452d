// What DPDK says, kept in an anonymous file instead of on the program's standard error: its last lines become part of our errors.
using System.Text;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Dpdk;

internal sealed class DpdkLog
{
    // A driver that complains for every frame must not fill the memory: the file is emptied when it is looked at and longer than this.
    private const int LengthMax = 1 << 20;
    private const int TailMax = 600;

    private readonly int _descriptor;

    public DpdkLog()
    {
        _descriptor = Posix.CreateMemoryDescriptor("peregrine-dpdk-log", 0).ThrowIfError("cannot make a file for DPDK's messages").Int32;
        Stream = Posix.OpenStream(_descriptor);
        if (Stream == 0) throw new IOException("cannot make a stream for DPDK's messages");
    }

    /// <summary>A FILE* for DPDK.</summary>
    public nint Stream { get; }

    /// <summary>Begins anew, so that <see cref="Tail"/> has only what comes from now on.</summary>
    public void Clear() => Posix.Truncate(_descriptor, 0);

    /// <summary>Bounds what is kept. Called now and then.</summary>
    public void Bound()
    {
        if (Posix.FileLength(_descriptor) > LengthMax) Clear();
    }

    /// <summary>The last lines, as a sentence to append; empty when DPDK said nothing.</summary>
    public unsafe string Tail()
    {
        var length = Posix.FileLength(_descriptor);
        if (length <= 0) return "";
        var bytes = stackalloc byte[TailMax];
        var got = Posix.ReadAt(_descriptor, bytes, TailMax, Math.Max(0, length - TailMax));
        if (got.IsError || got.Int32 == 0) return "";
        var lines = Encoding.UTF8.GetString(bytes, got.Int32).Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        // The first line is cut off where there are more before it.
        return " DPDK says: " + string.Join(" | ", length > TailMax && lines.Length > 1 ? lines[1..] : lines);
    }
}
