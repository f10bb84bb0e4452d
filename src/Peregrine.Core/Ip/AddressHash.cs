// The keyed hash of the IP layer's tables, so that nobody outside can choose addresses that fall into one place.
using Peregrine.Wire;

namespace Peregrine.Core.Ip;

/// <summary>A keyed hash of addresses.</summary>
internal readonly struct AddressHash(UInt128 key)
{
    public ulong Of(in IpAddress address, uint more) => SipHash.Hash13(key, address, more);

    public ulong Of(in IpAddress a, in IpAddress b, uint more) => SipHash.Hash13(key, a, (ushort)(more >> 16), b, (ushort)more);
}
