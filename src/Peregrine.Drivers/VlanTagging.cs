// An IEEE 802.1Q tag put before a frame that is to be sent, for links whose device does not do it. The frame itself stays as it is.
using System.Runtime.CompilerServices;

namespace Peregrine.Drivers;

internal static unsafe class VlanTagging
{
    /// <summary>Bytes of the tag.</summary>
    public const int Length = 4;

    /// <summary>Bytes of the two addresses, behind which the tag stands.</summary>
    public const int AddressesLength = 12;

    /// <summary>Writes the addresses and the tag into the headroom directly before the frame: they go out instead of its first 12 bytes.</summary>
    public static byte* Write(byte* start, ushort tag)
    {
        var copy = start - AddressesLength - Length;
        Unsafe.CopyBlockUnaligned(copy, start, AddressesLength);
        (copy[12], copy[13], copy[14], copy[15]) = (0x81, 0x00, (byte)(tag >> 8), (byte)tag);
        return copy;
    }
}
