// One native region from which a stack's pools are cut. Core never maps memory itself: the host maps a region (huge pages,
// memfd) and hands it in; tests and simulations take ordinary native memory.
using System.Runtime.InteropServices;

namespace Peregrine.Core.Memory;

/// <summary>A region of native memory with an owner. Parts are cut off its front by <see cref="Take"/> and never given back.</summary>
public sealed unsafe class MemoryRegion : IDisposable
{
    private readonly Action<nint, nuint>? _release;
    private byte* _base;
    private nuint _taken;

    /// <summary>Describes memory that somebody else mapped.</summary>
    /// <param name="address">First byte, aligned to at least 64 bytes, zeroed.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="description">What kind of memory it is, for the memory report ("huge pages, 2 MiB").</param>
    /// <param name="descriptor">A memfd that backs it, or -1.</param>
    /// <param name="release">Called once with address and length on disposal.</param>
    public MemoryRegion(nint address, nuint length, string description, int descriptor = -1, Action<nint, nuint>? release = null)
    {
        _base = (byte*)address;
        Length = length;
        Description = description;
        Descriptor = descriptor;
        _release = release;
    }

    /// <summary>The region's first byte.</summary>
    public byte* Base => _base;

    /// <summary>The region's length in bytes.</summary>
    public nuint Length { get; }

    /// <summary>Bytes cut off so far.</summary>
    public nuint Taken => _taken;

    /// <summary>What kind of memory this is.</summary>
    public string Description { get; }

    /// <summary>A memfd that backs the region, or -1.</summary>
    public int Descriptor { get; }

    /// <summary>Ordinary zeroed native memory, aligned to 4,096 bytes.</summary>
    public static MemoryRegion Allocate(nuint length)
    {
        var address = NativeMemory.AlignedAlloc(length, 4096);
        NativeMemory.Clear(address, length);
        return new MemoryRegion((nint)address, length, "native", -1, static (a, _) => NativeMemory.AlignedFree((void*)a));
    }

    /// <summary>Cuts the next <paramref name="length"/> bytes off, aligned.</summary>
    /// <exception cref="InsufficientMemoryException">The region is too small: the plan and the region disagree.</exception>
    public byte* Take(nuint length, nuint alignment = 128)
    {
        var start = (_taken + alignment - 1) / alignment * alignment;
        if (start + length > Length) ThrowTooSmall(start + length);
        _taken = start + length;
        return _base + start;
    }

    private void ThrowTooSmall(nuint need) =>
        throw new InsufficientMemoryException($"The memory region has {Length} bytes and {need} are planned.");

    /// <summary>Releases the memory. Nothing cut from it may be used afterwards.</summary>
    public void Dispose()
    {
        if (_base == null) return;
        _release?.Invoke((nint)_base, Length);
        _base = null;
    }
}
