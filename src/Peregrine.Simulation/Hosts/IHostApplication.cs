// What runs on a simulated host when it is not written against sockets: traffic that meets the stack's calls directly.
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Core.Udp;

namespace Peregrine.Simulation.Hosts;

internal interface IHostApplication
{
    /// <summary>The stack is new: at the start and after each restart.</summary>
    void OnStart(SimulatedHost host, Instant now);

    /// <summary>The host has lost everything: connections are gone without a word.</summary>
    void OnRestart(SimulatedHost host);

    void OnEvent(SimulatedHost host, in TcpEvent e, Instant now);

    void OnEvent(SimulatedHost host, in UdpEvent e, Instant now);

    /// <summary>Once a turn, after the events; true when something was done.</summary>
    bool OnTurn(SimulatedHost host, Instant now);
}
