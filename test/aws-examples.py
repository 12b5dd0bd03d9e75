"""Sends the examples that AWS ships with its model of the RDS API: `python3 aws-examples.py ENDPOINT`.

Prints each operation with what was answered: the error's code, or "done".
"""

import sys

import botocore.config
import botocore.exceptions
import botocore.session

session = botocore.session.get_session()
# What is sent is the example as it is; whether it is right is the API's to say.
config = botocore.config.Config(parameter_validation=False, retries={"total_max_attempts": 1})
rds = session.create_client("rds", endpoint_url=sys.argv[1], config=config)
methods = {operation: method for method, operation in rds.meta.method_to_api_mapping.items()}
examples = session.get_component("data_loader").load_service_model("rds", "examples-1")["examples"]
for operation, given in sorted(examples.items()):
    for example in given:
        if operation not in methods:
            continue
        try:
            getattr(rds, methods[operation])(**example.get("input", {}))
            print(operation, "done")
        except botocore.exceptions.ClientError as error:
            print(operation, error.response["Error"]["Code"], error.response["Error"]["Message"].replace("\n", " "))
