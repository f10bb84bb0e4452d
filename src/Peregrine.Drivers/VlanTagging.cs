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
        Write(copy, start, tag);
        return copy;
    }

    /// <summary>Writes the addresses and the tag elsewhere: they go out instead of the frame's first 12 bytes.</summary>
    public static void Write(byte* to, byte* start, ushort tag)
    {
        Unsafe.CopyBlockUnaligned(to, start, AddressesLength);
        (to[12], to[13], to[14], to[15]) = (0x81, 0x00, (byte)(tag >> 8), (byte)tag);
    }
}
