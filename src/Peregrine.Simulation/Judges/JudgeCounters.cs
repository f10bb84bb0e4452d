// What the judges of a world have looked at: a judge that never looks proves nothing, so the swarm shows these.
namespace Peregrine.Simulation.Judges;

internal struct JudgeCounters
{
    public long Turns;
    public long Connections;
    public long Segments;
    public long MemoryWalks;
    public long Scoreboards;
    public long BytesVerified;
}
