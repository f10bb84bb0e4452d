// A memif ring in shared memory: its layout, and reads and writes whose order is right on every processor. The peer can write any of
// it at any time: so each word is read once, by Volatile, and what was read is judged, never what lies there.
using System.Runtime.CompilerServices;
using System.Threading;

namespace Peregrine.Drivers.Memif;

/// <summary>memif_desc_t as it was read: 16 bytes at one moment. Whether it makes sense is for the reader to check.</summary>
internal readonly record struct MemifDescriptor(ushort Flags, ushort Region, uint Length, uint Offset, uint Metadata)
{
    public const int Size = 16;

    /// <summary>The packet goes on in the next descriptor.</summary>
    public const ushort FlagNext = 1;

    public bool HasNext => (Flags & FlagNext) != 0;
}

/// <summary>memif_ring_t: cookie, flags and head in the first 64 bytes, tail in the next, descriptors from 128 on.</summary>
internal readonly unsafe struct MemifRing(byte* address, int sizeLog2, int eventDescriptor)
{
    public const uint Cookie = 0x3E31_F20;
    public const int CookieOffset = 0, FlagsOffset = 4, HeadOffset = 6, TailOffset = 64, DescriptorsOffset = 128;

    /// <summary>14 is what others take; 15 would be the limit of indexes of 16 bits.</summary>
    public const int SizeLog2Min = 1, SizeLog2Max = 14;

    /// <summary>Descriptors are read by words of eight bytes, which must not be torn.</summary>
    public const int Alignment = 16;

    /// <summary>The reader looks by itself and wants no signals.</summary>
    public const ushort FlagMaskInterrupts = 1;

    public byte* Address => address;

    /// <summary>Signals from the producer of packets to their consumer.</summary>
    public int EventDescriptor => eventDescriptor;

    public int SizeLog2 => sizeLog2;

    /// <summary>Descriptors.</summary>
    public int Count => 1 << sizeLog2;

    /// <summary>Bytes of a ring.</summary>
    public static int BytesFor(int sizeLog2) => DescriptorsOffset + (MemifDescriptor.Size << sizeLog2);

    /// <summary>The client makes its rings so.</summary>
    public void Initialise()
    {
        new Span<byte>(address, BytesFor(sizeLog2)).Clear();
        Volatile.Write(ref *(uint*)(address + CookieOffset), Cookie);
    }

    public uint LoadCookie() => Volatile.Read(ref *(uint*)(address + CookieOffset));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ushort LoadHead() => Volatile.Read(ref *(ushort*)(address + HeadOffset));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ushort LoadTail() => Volatile.Read(ref *(ushort*)(address + TailOffset));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreHead(ushort value) => Volatile.Write(ref *(ushort*)(address + HeadOffset), value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void StoreTail(ushort value) => Volatile.Write(ref *(ushort*)(address + TailOffset), value);

    public bool IsSignalWanted => (Volatile.Read(ref *(ushort*)(address + FlagsOffset)) & FlagMaskInterrupts) == 0;

    /// <summary>The consumer says whether it wants signals. Followed by a full fence: look at the ring afterwards.</summary>
    public void SetSignalWanted(bool wanted)
    {
        Volatile.Write(ref *(ushort*)(address + FlagsOffset), wanted ? (ushort)0 : FlagMaskInterrupts);
        Interlocked.MemoryBarrier();
    }

    /// <summary>Reads a descriptor, each of its two words once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public MemifDescriptor Load(ushort index)
    {
        var at = (ulong*)(address + DescriptorsOffset + ((index & (Count - 1)) * MemifDescriptor.Size));
        ulong low = Volatile.Read(ref at[0]), high = Volatile.Read(ref at[1]);
        return new MemifDescriptor((ushort)low, (ushort)(low >> 16), (uint)(low >> 32), (uint)high, (uint)(high >> 32));
    }

    /// <summary>Writes a descriptor; the index that shows it is stored afterwards, with release.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Store(ushort index, ushort flags, ushort region, uint length, uint offset)
    {
        var at = (ulong*)(address + DescriptorsOffset + ((index & (Count - 1)) * MemifDescriptor.Size));
        at[0] = flags | ((ulong)region << 16) | ((ulong)length << 32);
        at[1] = offset;
    }
}
