// SO_REUSEPORT: listeners on one address and port, which all asked for it, and among which connections are spread by the keyed hash of their
// endpoints: the same endpoints find the same listener as long as none comes or goes, so that what a SYN cookie opens comes where its SYN was answered.
namespace Peregrine.Core.Tcp;

internal sealed class TcpListenerGroup(int first)
{
    private readonly List<int> _members = [first];

    internal int Count => _members.Count;

    /// <summary>The member by which the table of listeners knows them all.</summary>
    internal int First => _members[0];

    internal void Add(int listener) => _members.Add(listener);

    internal void Remove(int listener) => _members.Remove(listener);

    /// <summary>The upper bits decide: the lower ones choose slots in the table of connections.</summary>
    internal int Pick(ulong hash) => _members[(int)((hash >> 32) * (ulong)_members.Count >> 32)];
}
