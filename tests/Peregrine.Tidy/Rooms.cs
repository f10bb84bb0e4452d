// The rooms and the arrows between them, as ARCHITECTURE.md draws them: the only place that says which project may know which.
namespace Peregrine.Tidy;

/// <summary>What one project under src/ may reference.</summary>
/// <param name="Name">The project's folder and file name.</param>
/// <param name="References">Projects it may name directly.</param>
/// <param name="MayUsePackages">Packages are for the host and what composes above it; below stands the run time alone.</param>
/// <param name="MayUseAspNetCore">The shared framework of ASP.NET Core, which is no package but is no part of the base library either.</param>
internal sealed record Room(string Name, string[] References, bool MayUsePackages = false, bool MayUseAspNetCore = false);

internal static class Rooms
{
    public static readonly Room[] All =
    [
        new("Peregrine.Wire", []),
        new("Peregrine.Core", ["Peregrine.Wire"]),
        new("Peregrine.Drivers", ["Peregrine.Core", "Peregrine.Wire"]),
        new("Peregrine.Sockets", ["Peregrine.Core", "Peregrine.Wire"]),
        new("Peregrine.Simulation", ["Peregrine.Sockets", "Peregrine.Core", "Peregrine.Wire"]),
        new("Peregrine", ["Peregrine.Sockets", "Peregrine.Core", "Peregrine.Wire"], MayUsePackages: true, MayUseAspNetCore: true),
        // Over Sockets alone, so that the same transport runs in the simulation.
        new("Peregrine.Kestrel", ["Peregrine.Sockets", "Peregrine.Core", "Peregrine.Wire"], MayUseAspNetCore: true),
        // Over Sockets alone too: a measurement runs in the simulation as well as on a card.
        new("Peregrine.Iperf3", ["Peregrine.Sockets", "Peregrine.Core", "Peregrine.Wire"]),
        // POSIX's sockets over a stack that somebody else drives: the scripts' today, C programs' later.
        new("Peregrine.Posix", ["Peregrine.Core", "Peregrine.Wire"]),
        // Makes kernel calls of its own as well: its folder Kernel puts a script to the running kernel in the stack's place.
        new("Peregrine.Scripting", ["Peregrine.Posix", "Peregrine.Core", "Peregrine.Wire"]),
        // The three that compose: host + drivers + edge. Host and drivers never know each other.
        new("Peregrine.AspNetCore",
            ["Peregrine", "Peregrine.Drivers", "Peregrine.Kestrel", "Peregrine.Sockets", "Peregrine.Core", "Peregrine.Wire"],
            MayUsePackages: true, MayUseAspNetCore: true),
        // Servers, load and measurement of the tool. Its load generator makes kernel calls of its own, since it stands where a client's machine would.
        new("Peregrine.Bench", ["Peregrine", "Peregrine.Drivers", "Peregrine.Sockets", "Peregrine.Core", "Peregrine.Wire"], MayUsePackages: true),
        new("Peregrine.Native", ["Peregrine", "Peregrine.Drivers", "Peregrine.Sockets", "Peregrine.Core", "Peregrine.Wire"]),
        new("Peregrine.Cli",
            ["Peregrine.AspNetCore", "Peregrine", "Peregrine.Drivers", "Peregrine.Kestrel", "Peregrine.Iperf3", "Peregrine.Bench", "Peregrine.Sockets", "Peregrine.Core",
                "Peregrine.Wire", "Peregrine.Scripting", "Peregrine.Simulation"],
            MayUsePackages: true, MayUseAspNetCore: true),
    ];

    public static Room? Find(string name) => Array.Find(All, room => room.Name == name);
}
