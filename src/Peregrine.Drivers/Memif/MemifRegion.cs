// Shared memory of a memif connection, mapped here: made by us (client) or by the peer (server). Says where it lies and whether a
// stretch lies inside; the peer can change every byte of it at any time, but not its length: the descriptor is sealed.
using System.Runtime.CompilerServices;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Memif;

internal sealed unsafe class MemifRegion : IDisposable
{
    private readonly bool _isMapped;
    private nint _address;
    private int _descriptor;

    private MemifRegion(nint address, ulong length, int descriptor, bool isMapped) =>
        (_address, Length, _descriptor, _isMapped) = (address, length, descriptor, isMapped);

    public ulong Length { get; }

    /// <summary>To be sent to the peer; -1 where the region is the peer's own.</summary>
    public int Descriptor => _descriptor;

    public byte* Base => (byte*)_address;

    /// <summary>Makes a region for a peer: zeroed, and of a length that nobody can change, for a peer that shrinks it would kill us.</summary>
    public static MemifRegion Create(nuint length)
    {
        var file = Posix.CreateMemoryDescriptor("memif", UnixSocket.DescriptorAllowSealing).ThrowIfError("cannot make memory for memif").Int32;
        length = (length + Posix.PageSize - 1) / Posix.PageSize * Posix.PageSize;
        var result = Posix.Truncate(file, length);
        if (!result.IsError) result = UnixSocket.Seal(file, UnixSocket.SealShrink | UnixSocket.SealGrow | UnixSocket.SealSeal);
        if (!result.IsError) result = Posix.Map(0, length, MapFlags.Read | MapFlags.Write, MapFlags.Shared, file);
        if (!result.IsError) return new MemifRegion(result.Value, length, file, isMapped: true);
        Posix.Close(file);
        result.ThrowIfError($"cannot make {length} bytes of memory for memif");
        throw new InvalidOperationException();
    }

    /// <summary>Shows memory that is mapped already and stays its owner's: tests play the peer in it.</summary>
    public static MemifRegion Borrow(byte* address, ulong length, int descriptor) => new((nint)address, length, descriptor, isMapped: false);

    /// <summary>Maps a peer's region; the descriptor stays the caller's. The reason when it is refused.</summary>
    public static MemifRegion? TryMap(int descriptor, ulong length, bool allowUnsealed, out string? refusal)
    {
        refusal = null;
        var size = UnixSocket.Length(descriptor);
        if (length == 0 || size.IsError || (ulong)size.Value < length) refusal = "region is shorter than said";
        // A file that can be cut under a mapping turns the next look into SIGBUS.
        else if (!allowUnsealed && (UnixSocket.Seals(descriptor) is var seals) && (seals.IsError || ((int)seals.Value & UnixSocket.SealShrink) == 0))
            refusal = "region is not sealed against shrinking";
        if (refusal != null) return null;
        var mapped = Posix.Map(0, (nuint)length, MapFlags.Read | MapFlags.Write, MapFlags.Shared, descriptor);
        if (!mapped.IsError) return new MemifRegion(mapped.Value, length, -1, isMapped: true);
        refusal = "region cannot be mapped";
        return null;
    }

    /// <summary>Whether a stretch lies inside.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Contains(ulong offset, ulong length) => offset <= Length && length <= Length - offset;

    public void Dispose()
    {
        var address = Interlocked.Exchange(ref _address, 0);
        if (address == 0 || !_isMapped) return;
        Posix.Unmap(address, (nuint)Length);
        if (_descriptor >= 0) Posix.Close(_descriptor);
        _descriptor = -1;
    }
}
