// Memory whose end is followed by a page that cannot be touched: a read or write one byte too far ends the test process, also where
// code reads through references without bounds checks.
using System.Runtime.InteropServices;

namespace Peregrine.Wire.Tests;

internal sealed unsafe partial class GuardedBuffer : IDisposable
{
    private const int ProtectionNone = 0;
    private const int ProtectionReadWrite = 3;
    private const int PrivateAnonymous = 0x22;

    private readonly byte* _base;
    private readonly nuint _mapped;
    private readonly int _capacity;

    public GuardedBuffer(int capacityMin)
    {
        int page = Environment.SystemPageSize;
        _capacity = (capacityMin + page - 1) / page * page;
        _mapped = (nuint)(_capacity + 2 * page);
        _base = (byte*)MapMemory(null, _mapped, ProtectionReadWrite, PrivateAnonymous, -1, 0);
        Assert.True((nint)_base != -1);
        Assert.Equal(0, ProtectMemory(_base, (nuint)page, ProtectionNone));
        Assert.Equal(0, ProtectMemory(_base + page + _capacity, (nuint)page, ProtectionNone));
    }

    /// <summary>So many bytes, the last of which is the last before the guard.</summary>
    public Span<byte> AtEnd(int length)
    {
        Assert.InRange(length, 0, _capacity);
        return new Span<byte>(_base + Environment.SystemPageSize + _capacity - length, length);
    }

    /// <summary>So many bytes, the first of which is the first behind the other guard.</summary>
    public Span<byte> AtStart(int length)
    {
        Assert.InRange(length, 0, _capacity);
        return new Span<byte>(_base + Environment.SystemPageSize, length);
    }

    /// <summary>A copy that ends at the guard.</summary>
    public Span<byte> Copy(ReadOnlySpan<byte> bytes)
    {
        Span<byte> copy = AtEnd(bytes.Length);
        bytes.CopyTo(copy);
        return copy;
    }

    public void Dispose() => UnmapMemory(_base, _mapped);

    [LibraryImport("libc", EntryPoint = "mmap")]
    private static partial void* MapMemory(void* address, nuint length, int protection, int flags, int descriptor, nint offset);

    [LibraryImport("libc", EntryPoint = "mprotect")]
    private static partial int ProtectMemory(void* address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "munmap")]
    private static partial int UnmapMemory(void* address, nuint length);
}
