// The keyed hash of the IP layer's tables, so that nobody outside can choose addresses that fall into one place.
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>A keyed hash of addresses.</summary>
internal readonly struct AddressHash(UInt128 key)
{
    public ulong Of(in IpAddress address, uint more)
    {
        Span<byte> bytes = stackalloc byte[20];
        address.WriteIPv6To(bytes);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32LittleEndian(bytes[16..], more);
        return SipHash.Hash13(key, bytes);
    }

    public ulong Of(in IpAddress a, in IpAddress b, uint more)
    {
        Span<byte> bytes = stackalloc byte[36];
        a.WriteIPv6To(bytes);
        b.WriteIPv6To(bytes[16..]);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt32LittleEndian(bytes[32..], more);
        return SipHash.Hash13(key, bytes);
    }
}
