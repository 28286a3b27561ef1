"""kdiag mcp: kdiag's commands as read-only tools of an agent, by the Model Context Protocol."""
