"""The life of a cluster by botocore and its waiters: `python3 aws-walk.py ENDPOINT`. Prints what it saw, one line each."""

import sys

import botocore.exceptions
import botocore.session

rds = botocore.session.get_session().create_client("rds", endpoint_url=sys.argv[1])
FAST = {"Delay": 1, "MaxAttempts": 60}


def refused(call, **arguments):
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        return f"{error.response['ResponseMetadata']['HTTPStatusCode']} {error.response['Error']['Code']}"
    return "done"


made = rds.create_db_cluster(
    DBClusterIdentifier="walk",
    Engine="aurora-postgresql",
    MasterUsername="postgres",
    MasterUserPassword="correct-horse",
    Tags=[{"Key": "a", "Value": "b"}],
)["DBCluster"]
print("created", made["Status"], made["DBClusterArn"].split(":")[5:], made["TagList"])
rds.get_waiter("db_cluster_available").wait(DBClusterIdentifier="walk", WaiterConfig=FAST)
for name in ("walk-1", "walk-2"):
    rds.create_db_instance(
        DBInstanceIdentifier=name,
        DBClusterIdentifier="walk",
        Engine="aurora-postgresql",
        DBInstanceClass="db.t4g.medium",
    )
    rds.get_waiter("db_instance_available").wait(DBInstanceIdentifier=name, WaiterConfig=FAST)
print("again", refused(rds.create_db_cluster, DBClusterIdentifier="walk", Engine="aurora-postgresql",
                       MasterUsername="postgres", MasterUserPassword="correct-horse"))
print("nobody", refused(rds.describe_db_instances, DBInstanceIdentifier="nobody"))
rds.failover_db_cluster(DBClusterIdentifier="walk", TargetDBInstanceIdentifier="walk-2")
rds.get_waiter("db_cluster_available").wait(DBClusterIdentifier="walk", WaiterConfig=FAST)
(cluster,) = rds.describe_db_clusters(Filters=[{"Name": "db-cluster-id", "Values": ["walk"]}])["DBClusters"]
print("writer", [m["DBInstanceIdentifier"] for m in cluster["DBClusterMembers"] if m["IsClusterWriter"]])
pages = rds.get_paginator("describe_orderable_db_instance_options").paginate(
    Engine="aurora-postgresql", EngineVersion="17", PaginationConfig={"PageSize": 20}
)
classes = [o["DBInstanceClass"] for page in pages for o in page["OrderableDBInstanceOptions"]]
print("classes", len(classes) == len(set(classes)) > 20)
group = {"DBClusterParameterGroupName": "walk"}
rds.create_db_cluster_parameter_group(**group, DBParameterGroupFamily="aurora-postgresql17", Description="d")
rds.modify_db_cluster_parameter_group(
    **group, Parameters=[{"ParameterName": "work_mem", "ParameterValue": "8192", "ApplyMethod": "immediate"}]
)
changed = rds.describe_db_cluster_parameters(**group, Source="user")["Parameters"]
print("parameters", [parameter["ParameterName"] for parameter in changed])
print("unsupported", refused(rds.create_db_cluster_snapshot, DBClusterSnapshotIdentifier="s", DBClusterIdentifier="walk"))
for name in ("walk-1", "walk-2"):
    rds.delete_db_instance(DBInstanceIdentifier=name)
    rds.get_waiter("db_instance_deleted").wait(DBInstanceIdentifier=name, WaiterConfig=FAST)
rds.delete_db_cluster(DBClusterIdentifier="walk", SkipFinalSnapshot=True)
rds.get_waiter("db_cluster_deleted").wait(DBClusterIdentifier="walk", WaiterConfig=FAST)
print("gone", refused(rds.describe_db_clusters, DBClusterIdentifier="walk"))
