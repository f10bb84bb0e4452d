// Who has to be told of the ports that the stack uses: a link that shares an address with a kernel. Knows nothing of connections.
namespace Peregrine.Core.Links;

/// <summary>Opens ports of a link that lets nothing come to others. Called from the core's thread, for listeners and UDP sockets.</summary>
public interface IPortKeeper
{
    /// <summary>A listener (TCP) or socket (UDP) begins to use a port. Calls are counted: each that succeeds is followed by one of <see cref="ClosePort"/>.</summary>
    /// <returns>False when somebody else has the port.</returns>
    bool TryOpenPort(bool udp, ushort port);

    /// <summary>One user less.</summary>
    void ClosePort(bool udp, ushort port);
}
